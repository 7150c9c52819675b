import {spawn} from 'node:child_process'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'

export interface EditOptions<Result> {
  text: string
  /** Name of the file in the editor. */
  fileName: string
  /** Takes the new text, or throws why it will not do. */
  take(text: string, path: string): Promise<Result>
  /** Whether to go back to the editor after this error. */
  again(error: SallyportError): Promise<boolean>
  env?: NodeJS.ProcessEnv
}

/**
 * Lets a person change a text in `$VISUAL` or `$EDITOR`, until it is taken. Undefined: nothing was changed. What was
 * written and not taken stays in its file, which the error names.
 */
export async function editText<Result>(options: EditOptions<Result>): Promise<Result | undefined> {
  const {text, fileName, take, again, env = process.env} = options
  // mkdtemp makes it 0700.
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-edit-'))
  const path = join(directory, fileName)
  await writeFile(path, text, {mode: 0o600, flag: 'wx'})
  let kept = false
  try {
    for (;;) {
      await runEditor(env.VISUAL || env.EDITOR || 'vi', path)
      const edited = await readFile(path, 'utf8')
      if (edited === text) return undefined
      try {
        return await take(edited, path)
      } catch (thrown) {
        const error = asProblem(thrown)
        if (await again(error)) continue
        kept = true
        throw problem(error.code, error.message, {hint: `your text is kept in ${path}`, cause: error})
      }
    }
  } finally {
    if (!kept) await rm(directory, {recursive: true, force: true})
  }
}

/** As a shell would: the variable may have arguments in it. */
function runEditor(editor: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, editor, path], {stdio: 'inherit'})
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) return resolve()
      const how = signal ? `was ended by ${signal}` : `ended with status ${code}`
      reject(
        problem('cancelled', `the editor ${how}, and nothing was changed`, {
          hint: 'set EDITOR to the editor to use',
        }),
      )
    })
  })
}
