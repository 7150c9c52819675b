import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {commandTexts} from '../support/command-lines.js'
import {fences, type Page, page, repository, section} from '../support/documents.js'
import {canIsolate, onFreshMachine, type Step} from '../support/fresh-machine.js'

// The guides, command by command as they stand there, on a machine that looks fresh. Only where a person is asked for
// something, or has to put a name in, is another command run.

const password = 'correct horse battery staple'

/** Commands of the console blocks of a part of a page. */
const commandsOf = (path: string, heading: string): string[] => {
  const part: Page = {path, text: section(page(path), heading)}
  return fences(part)
    .filter(({text}) => text.includes('$ '))
    .flatMap(({text}) => commandTexts(text).map(command => command.trimEnd()))
}

/** A code of the app, `steps` of 30 s from now: each code is good once, and the next one is taken early. */
const code = (steps: number): string =>
  `$(node --input-type=module -e '
    import {Secret, TOTP} from "${join(repository, 'node_modules/otpauth/dist/otpauth.node.mjs')}"
    const [secret, steps] = process.argv.slice(1)
    const totp = new TOTP({secret: Secret.fromBase32(secret)})
    console.log(totp.generate({timestamp: Date.now() + Number(steps) * 30_000}))' "$SECRET" ${steps})`

/** What stands in for a person: patterns of typed commands and what is run instead of them. */
type Substitutes = readonly (readonly [pattern: RegExp, run: string])[]

const waitFor = (file: string, text: string): string =>
  `for _ in $(seq 200); do grep -qs '${text}' ${file} && break; sleep 0.1; done; cat ${file}; grep -q '${text}' ${file}`

const person: Substitutes = [
  [/^npm install -g \.$/, ':'],
  [/^sallyport start.*/, `($& > start.out 2> start.log &); ${waitFor('start.out', '^web')}`],
  [/^sallyport users add .*/, '$& | tee added'],
  [
    /^sallyport signup .*TOKEN$/,
    `URL=$(grep ^https: added)
     SECRET=$(sallyport signup --insecure --show --format=json "$URL" | node -p 'JSON.parse(require("fs").readFileSync(0)).otp.secret')
     sallyport signup --insecure --password-file=password --otp=${code(0)} "$URL"`,
  ],
  [/^sallyport login.*/, `$& --insecure --key-store=file --password-file=password --otp=${code(1)}`],
  [/^sallyport ssh .*/, "$& 'echo it works'"],
  [/^(ssh|ssh [\s\S]*) root@web-1$/, "$& 'echo it works'"],
  [/SESSION$/, '$(sallyport recordings ls | tail -1 | cut -c1-36)'],
]

const steps = (commands: readonly string[], substitutes: Substitutes = person): Step[] =>
  commands.map(typed => {
    const [pattern, run] = substitutes.find(([candidate]) => candidate.test(typed)) ?? []
    return pattern && run !== undefined ? {typed, run: typed.replace(pattern, run)} : {typed}
  })

const setup = `echo '${password}' > password; chmod 600 password
echo 'proxy_service: {public_addr: proxy.example.com}' > named.yaml`

const lack = {meta: {lack: 'it needs a machine of its own: namespaces of mounts and processes'}}
describe.runIf(canIsolate())('as it stands', lack, () => {
  it('README leads to a recorded session on the own sshd', async () => {
    const commands = commandsOf('README.md', '## Two minutes to a recorded session on your own sshd')
    const printed = await onFreshMachine(steps(commands), setup)
    const of = (beginning: string): string =>
      printed[commands.findIndex(text => text.startsWith(beginning))] ?? ''
    expect(of('sallyport start')).toMatch(/^proxy {2}SSH on 127\.0\.0\.1:3023$/m)
    expect(of('sallyport ssh')).toBe('it works\n')
    expect(of('sallyport recordings ls')).toMatch(/joe +root +127\.0\.0\.1 +sealed/)
    expect(of('sallyport play')).toBe('it works\n')
    expect(of('sallyport recordings verify')).toContain('is what was recorded')
  })

  it('the guides enrol a host and take stock clients to it', async () => {
    const enrol = (heading: string): string[] => commandsOf('docs/guides/enrol-a-host.md', heading)
    const stock = (heading: string): string[] => commandsOf('docs/guides/stock-openssh-clients.md', heading)
    const before = [
      'sallyport start --config=named.yaml',
      'sallyport users add joe joe,root',
      'sallyport signup TOKEN',
    ]
    const byHand = stock('## By hand, with the agent')
    const trust = byHand.filter(text => text.startsWith('cat '))
    const own = stock('## With `sallyport config`')
    const withoutCopy = own.filter(text => !text.startsWith('scp '))
    const commands = [
      ...before,
      ...enrol('## 1. The authority that lets users in'),
      ...enrol('## 2. A key and a certificate for the host'),
      ...enrol('## 3. Three lines for sshd'),
      'eval "$(ssh-agent)"',
      ...withoutCopy.slice(0, 1),
      ...enrol('## 4. Try it'),
      ...trust,
      ...byHand.filter(text => text.startsWith('ssh ')),
      ...withoutCopy.slice(1),
    ]
    const printed = await onFreshMachine(steps(commands), setup)
    const said = commands.flatMap((text, at) =>
      /^(sallyport )?ssh .*root@/s.test(text) ? [printed[at]] : [],
    )
    expect(said).toEqual(Array(4).fill('it works\n'))
    const fingerprint = /SHA256:\S+/.exec(
      printed[commands.indexOf('ssh-keygen -lf sallyport_user_ca.pub')] ?? '',
    )?.[0]
    expect(printed[commands.indexOf('sallyport auth ls')]).toMatch(
      new RegExp(`^user +${fingerprint?.replace(/[+/]/g, '\\$&')}$`, 'm'),
    )
  })

  it('the host can be made to accept certificates from the proxy alone', async () => {
    const guide = page('docs/guides/enrol-a-host.md')
    const [match] = fences({...guide, text: section(guide, '## So that nobody can bypass the proxy')})
    const block = match?.text ?? ''
    expect(block).toContain('Match Address 192.0.2.1\n')
    const printed = await onFreshMachine(
      [
        {
          typed: 'start',
          run: `(sallyport start > start.out 2> start.log &); ${waitFor('start.out', '^web')}`,
        },
        ...steps(
          commandsOf('docs/guides/enrol-a-host.md', '## 1. The authority that lets users in').slice(0, 1),
        ),
        ...steps(commandsOf('docs/guides/enrol-a-host.md', '## 2. A key and a certificate for the host')),
        ...steps(commandsOf('docs/guides/enrol-a-host.md', '## 3. Three lines for sshd').slice(0, 2)),
        {
          typed: 'narrow',
          run: `conf=/etc/ssh/sshd_config.d/50-sallyport.conf; sed -i /TrustedUserCAKeys/d $conf; cat >> $conf <<'END'\n${block}END`,
        },
        ...steps(commandsOf('docs/guides/enrol-a-host.md', '## 3. Three lines for sshd').slice(2)),
        {
          typed: 'sign',
          run: 'sallyport users add joe root; sallyport auth sign --user=joe --out=id --format=openssh',
        },
        {
          typed: 'try',
          run: `for from in 192.0.2.1 192.0.2.10; do
            ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -b $from -i id root@web-1 echo in from $from || echo out from $from
          done`,
        },
      ],
      setup,
    )
    expect(printed.at(-1)).toBe('in from 192.0.2.1\nout from 192.0.2.10\n')
  })

  it('a copy made while it runs is the same cluster', async () => {
    const copy = commandsOf('docs/guides/back-up.md', '## While it runs')
    const rsync = copy.findIndex(text => text.startsWith('rsync '))
    const look = commandsOf('docs/guides/back-up.md', '## Restore')
    const printed = await onFreshMachine(
      [
        ...steps(['sallyport start', 'sallyport users add joe joe,root']),
        // Where rsync is not installed, cp does the same for a first copy.
        ...steps(copy, [[/^rsync -a/, 'cp -a']]),
        ...steps(commandsOf('docs/guides/back-up.md', '## Keep the end of the log elsewhere')),
        {typed: 'before', run: 'sallyport auth ls; sallyport users ls'},
        {
          typed: 'restore',
          run: `kill "$(node -p 'JSON.parse(require("fs").readFileSync("/var/lib/sallyport/addresses.json")).pid')"
            while [ -e /var/lib/sallyport/addresses.json ]; do sleep 0.1; done
            sleep 0.5; rm -r /var/lib/sallyport; cp -a /srv/backup/sallyport /var/lib/`,
        },
        ...steps(['sallyport start']),
        ...steps(look),
      ],
      `${setup}; mkdir -p /root/srv; mount --bind /root/srv /srv`,
    )
    const before = printed[2 + copy.length + 2] ?? ''
    expect(before).toContain('joe')
    const [authorities = '', users = '', verified = ''] = printed.slice(-look.length)
    expect(authorities + users).toBe(before)
    expect(verified).toContain('The audit log is unbroken')
    expect(rsync).toBeGreaterThan(0)
  })
})
