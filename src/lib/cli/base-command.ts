import {Command, Errors, Flags, type Interfaces} from '@oclif/core'
import {asksForJson, describe, exitStatus, ownArguments, toProblem} from './report.js'

type Output = Interfaces.OutputFlags<Interfaces.FlagInput>
type Arguments = Interfaces.OutputArgs<Interfaces.ArgInput>

/**
 * What every command shares: `--debug`, and one way for errors to end. An error becomes one line on stderr (a JSON
 * object under `--format json`) and the exit code of the catalogue; the stack is shown with `--debug` only.
 */
export abstract class BaseCommand extends Command {
  static override baseFlags = {
    debug: Flags.boolean({
      char: 'd',
      description: 'say what is being done, and show the cause of an error',
      helpGroup: 'GLOBAL',
    }),
  }

  #flags: Record<string, unknown> = {}

  protected override async parse<F extends Output, B extends Output, A extends Arguments>(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const output = await super.parse(options, argv)
    this.#flags = output.flags
    return output
  }

  protected override async catch(thrown: Error): Promise<never> {
    if (exitStatus(thrown) !== undefined) throw thrown
    const error = toProblem(thrown, this.id?.replaceAll(':', ' '))
    const own = ownArguments(this.argv)
    process.stderr.write(
      describe(error, {
        debug: this.#flags.debug === true || own.includes('--debug') || own.includes('-d'),
        json: this.#flags.format === 'json' || asksForJson(own),
      }),
    )
    throw new Errors.ExitError(error.exitCode)
  }
}
