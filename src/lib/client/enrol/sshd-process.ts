import {execFile} from 'node:child_process'
import {access, readFile} from 'node:fs/promises'
import {promisify} from 'node:util'
import {problem} from '../../errors/index.js'
import {parseSshdSettings, type SshdSettings} from './sshd-config.js'

const runMilliseconds = 30_000
const run = promisify(execFile)

/** The sshd of this machine. */
export interface SshdControl {
  /** What it would use. @throws config_invalid with its own words */
  settings(): Promise<SshdSettings>
  /** @throws config_invalid with its own words */
  check(): Promise<void>
  /** Makes the running one read its configuration. Sessions go on. @throws failure */
  reload(): Promise<void>
}

/** @param config absolute path of its configuration @throws not_found without OpenSSH's server */
export async function controlSshd(config: string): Promise<SshdControl> {
  const program = await findSshd()
  const sshd = async (flag: string): Promise<string> => {
    try {
      return (await run(program, [flag, '-f', config], {timeout: runMilliseconds})).stdout
    } catch (cause) {
      const {stderr = '', message = ''} = cause as {stderr?: string; message?: string}
      const words = stderr.trim().split('\n').at(-1) || message
      throw problem('config_invalid', `sshd does not accept its configuration: ${words}`, {
        hint: `see: ${program} -t -f ${config}`,
        cause,
      })
    }
  }
  const settings = async (): Promise<SshdSettings> => parseSshdSettings(await sshd('-T'))
  return {
    settings,
    check: async () => void (await sshd('-t')),
    async reload() {
      if (config === '/etc/ssh/sshd_config' && (await reloadUnit())) return
      const {pidFile} = await settings()
      const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim())
      if (!Number.isSafeInteger(pid) || pid <= 1)
        throw problem('failure', `nobody can tell which sshd to reload: ${pidFile} names none`, {
          hint: 'reload it yourself, or start it',
        })
      process.kill(pid, 'SIGHUP')
    },
  }
}

async function findSshd(): Promise<string> {
  for (const path of ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd', '/sbin/sshd'])
    if (await access(path).then(...yesOrNo)) return path
  throw problem('not_found', 'there is no sshd on this machine', {hint: "install OpenSSH's server"})
}

const yesOrNo = [() => true, () => false] as const

/** Units are called ssh on Debian, sshd elsewhere; where systemd does not run one, its process is told. */
async function reloadUnit(): Promise<boolean> {
  for (const unit of ['ssh', 'sshd']) {
    const systemctl = (...words: string[]): Promise<boolean> =>
      run('systemctl', words, {timeout: runMilliseconds}).then(...yesOrNo)
    if ((await systemctl('is-active', '--quiet', unit)) && (await systemctl('reload', unit))) return true
  }
  return false
}
