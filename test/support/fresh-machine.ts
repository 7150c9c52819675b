import {spawnSync} from 'node:child_process'
import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {repository} from './documents.js'
import {run} from './process.js'
import {temporaryDirectory} from './temporary-directory.js'

/** One command of a manual. */
export interface Step {
  /** As it stands there. */
  typed: string
  /** What is run in its place, where a person would be asked something or a name stands for what came before. */
  run?: string
}

const isolation = ['--mount', '--net', '--uts', '--pid', '--fork', '--kill-child']

/** Whether this is a root that may make a machine within the machine; in many containers it may not. */
export const canIsolate = (): boolean =>
  process.getuid?.() === 0 &&
  spawnSync('unshare', [...isolation, 'ip', 'link', 'set', 'lo', 'up']).status === 0

/**
 * Runs commands one after the other, as root, on a machine that looks fresh: an sshd with its distribution's
 * configuration on port 22 of `web-1`, nothing in /var/lib and /root, no network but its own addresses, and
 * `sallyport` on the PATH. Everything ends and goes with it. Resolves to what each command printed.
 * @throws with the output of the command that failed
 */
export async function onFreshMachine(steps: readonly Step[], setup = ''): Promise<string[]> {
  const directory = temporaryDirectory()
  for (const name of ['ssh', 'lib', 'root', 'run', 'bin', 'work']) mkdirSync(join(directory, name))
  symlinkSync(join(repository, 'bin/run.js'), join(directory, 'bin/sallyport'))
  const program = (name: string, text: string): void =>
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${text}\n`, {mode: 0o755})
  program('sudo', 'exec "$@"')
  program('systemctl', 'kill -HUP "$(cat /run/sshd.pid)"')
  const hosts = [
    '127.0.0.1 localhost',
    '192.0.2.1 proxy.example.com',
    '192.0.2.10 web-1 web-1.example.com',
    '',
  ]
  writeFileSync(join(directory, 'hosts'), hosts.join('\n'))
  const commands = steps.map((step, index) => `echo '${mark(index)}'\n${step.run ?? step.typed}`)
  const script = [prelude(directory), setup, ...commands].join('\n')
  const {code, stdout, stderr} = await run('unshare', [...isolation, 'bash', '-c', script], {
    env: {SALLYPORT_HOME: undefined},
  })
  const printed = stdout.toString('utf8').split(/^@@@ \d+\n/m)
  const last = printed.length - 2
  if (code !== 0 || last !== steps.length - 1)
    throw new Error(`${steps[last]?.typed ?? 'the set-up'} ended with ${code}:\n${printed.at(-1)}\n${stderr}`)
  return printed.slice(1)
}

const mark = (index: number): string => `@@@ ${index}`

const prelude = (directory: string): string => `
set -e -o pipefail
hostname web-1
ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip addr add 192.0.2.10/32 dev lo
cp -a /etc/ssh/. ${directory}/ssh/
for part in ssh:/etc/ssh lib:/var/lib root:/root run:/run hosts:/etc/hosts; do
  mount --bind "${directory}/\${part%%:*}" "\${part#*:}"
done
ssh-keygen -A > /dev/null
export PATH="${directory}/bin:$PATH" HOME=/root USER=root LC_ALL=C.UTF-8
mkdir -p -m 755 /run/sshd
mkdir -p -m 700 ~/.ssh
$(PATH="$PATH:/usr/sbin" command -v sshd)
cd ${directory}/work
`
