import {type Command, Help} from '@oclif/core'

/** Jobs, in the order of a first day, with the commands (by first word) that do them. */
const jobs: readonly {title: string; commands: readonly string[]}[] = [
  {title: 'Run the service', commands: ['start', 'configure', 'users', 'auth', 'tokens', 'nodes']},
  {
    title: 'Decide who may what',
    commands: ['create', 'get', 'edit', 'rm', 'access', 'lock', 'locks', 'unlock'],
  },
  {title: 'Log in and connect', commands: ['login', 'logout', 'status', 'signup', 'ssh', 'ls', 'clusters']},
  {title: 'Use the stock OpenSSH client', commands: ['config', 'proxy']},
  {title: 'See what happens', commands: ['sessions', 'join']},
  {title: 'See what happened', commands: ['recordings', 'play', 'audit']},
]

const startHere = `START HERE
  $ sallyport start                                        auth and proxy on this machine; then: sallyport users add NAME LOGINS
  $ sallyport login --proxy=HOST:3080 --user=NAME          a certificate for the day; then: sallyport ssh root@HOST`

/** Root help by job, with the two lines a newcomer needs; the help of one command is oclif's. */
export default class SallyportHelp extends Help {
  protected override async showRootHelp(): Promise<void> {
    const commands = this.sortedCommands.filter(command => command.id !== '')
    const sections = [
      ...jobs.map(({title, commands: words}) => this.#section(title, inOrder(commands, words))),
      this.#section(
        'More',
        commands.filter(command => !jobs.some(job => job.commands.includes(firstWord(command)))),
      ),
    ]
    this.log(
      [
        this.config.pjson.description ?? '',
        startHere,
        ...sections.filter(section => section !== ''),
        `Every command has examples: ${this.config.bin} COMMAND --help`,
      ].join('\n\n'),
    )
  }

  #section(title: string, commands: readonly Command.Loadable[]): string {
    if (commands.length === 0) return ''
    const rows = commands.map((command): [string, string] => [
      command.id.replaceAll(':', ' '),
      this.summary(command) ?? '',
    ])
    return `${title.toUpperCase()}\n${this.indent(this.renderList(rows, {indentation: 2, spacer: '\n', stripAnsi: this.opts.stripAnsi ?? false}))}`
  }
}

const firstWord = (command: {id: string}): string => command.id.split(':')[0] ?? ''

const inOrder = <C extends {id: string}>(commands: readonly C[], words: readonly string[]): C[] =>
  words.flatMap(word => commands.filter(command => firstWord(command) === word))
