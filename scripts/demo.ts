// `npm run demo`: a cluster, a host and a recorded session on this machine, each command shown as a person types it.
// `npm run demo -- --keep` leaves it running until Ctrl-C. Needs no root and leaves nothing behind.
import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {createNarrator} from './demo/narrator.js'
import {Interrupted, openStage} from './demo/stage.js'
import {type TargetChoice, targetChoices, tellStory} from './demo/story.js'

const usage = `Usage: npm run demo -- [--keep] [--target=${targetChoices.join('|')}]

  --keep     leave everything running until Ctrl-C, and say how to use it
  --target   the host of the session: a scratch sshd, or a small SSH server of this script; auto takes sshd where it can
`

const root = fileURLToPath(new URL('..', import.meta.url))

function readArguments(): {keep: boolean; target: TargetChoice} | undefined {
  try {
    const {keep, target, help} = parseArgs({
      options: {
        keep: {type: 'boolean', default: false},
        target: {type: 'string', default: 'auto'},
        help: {type: 'boolean', default: false},
      },
    }).values
    const choice = targetChoices.find(name => name === target)
    if (!help && choice) return {keep, target: choice}
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  }
  process.stderr.write(usage)
  return undefined
}

function buildWhereMissing(): boolean {
  if (existsSync(`${root}dist/lib/cli/main.js`)) return true
  process.stdout.write('Building Sallyport, once\n')
  const tsx = `${root}node_modules/tsx/dist/cli.mjs`
  return spawnSync(process.execPath, [tsx, `${root}scripts/build.ts`], {stdio: 'inherit'}).status === 0
}

/** The exit status: 0 when everything worked, 130 when it was interrupted, else 1. */
async function demonstrate({keep, target}: {keep: boolean; target: TargetChoice}): Promise<number> {
  const stage = openStage(root)
  const narrator = createNarrator(stage)
  let told = false
  try {
    await stage.untilInterrupted(tellStory({stage, narrator, target, keep}))
    told = true
    if (keep) await stage.untilInterrupted(new Promise<never>(() => undefined))
    return 0
  } catch (error) {
    if (error instanceof Interrupted) return told ? 0 : 130
    process.stderr.write(`\nThe demo failed: ${error instanceof Error ? error.message : error}\n`)
    process.stderr.write(stage.lastWords())
    return 1
  } finally {
    await stage.close()
    narrator.note('\nEverything is stopped and removed again.')
  }
}

const choices = readArguments()
if (!choices) process.exitCode = 2
else if (!buildWhereMissing()) process.exitCode = 1
else process.exitCode = await demonstrate(choices)
