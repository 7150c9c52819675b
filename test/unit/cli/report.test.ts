import {Args, Errors, Flags, Parser} from '@oclif/core'
import {expect, describe as group, test} from 'vitest'
import {describe, exitStatus, toProblem} from '../../../src/lib/cli/report.js'
import {problem} from '../../../src/lib/errors/index.js'

const plain = {debug: false, json: false}

const thrownBy = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    await work
  } catch (thrown) {
    return thrown
  }
  throw new Error('nothing was thrown')
}

group('an error on the terminal', () => {
  const refused = problem('host_unreachable', 'cannot reach 10.0.0.9:22', {
    hint: 'check the address',
    cause: new Error('connect ECONNREFUSED'),
  })

  test('is one line with message, hint and code', () => {
    expect(describe(refused, plain)).toBe(
      'sallyport: cannot reach 10.0.0.9:22; check the address [host_unreachable]\n',
    )
    expect(refused.exitCode).toBe(20)
  })

  test('shows its causes with their stacks under --debug only', () => {
    const lines = describe(refused, {debug: true, json: false})
    expect(lines).toMatch(/^sallyport: cannot reach[^\n]*\n/)
    expect(lines).toContain('caused by: Error: connect ECONNREFUSED\n    at ')
    expect(describe(refused, plain)).not.toContain('ECONNREFUSED')
  })

  test('is a JSON object where the answer would have been JSON', () => {
    expect(JSON.parse(describe(refused, {debug: false, json: true}))).toEqual({
      error: {code: 'host_unreachable', message: 'cannot reach 10.0.0.9:22', hint: 'check the address'},
    })
  })

  test('cannot drive the terminal with what a server said', () => {
    const hostile = problem('target_refused', 'banner \u001b]52;c;eA==\u0007')
    expect(describe(hostile, plain)).toBe('sallyport: banner \\x1b]52;c;eA==\\x07 [target_refused]\n')
  })

  test('with several lines keeps hint and code on the first', () => {
    const two = problem('config_invalid', 'a.yaml:1:2: x: bad\na.yaml:3:4: y: bad', {hint: 'see docs'})
    expect(describe(two, plain)).toBe(
      'sallyport: a.yaml:1:2: x: bad; see docs [config_invalid]\na.yaml:3:4: y: bad\n',
    )
  })

  test('is internal when nobody gave it a code, with the way to learn more', () => {
    const error = toProblem(new TypeError('x is not a function'))
    expect(describe(error, plain)).toBe(
      'sallyport: unexpected error: x is not a function; run again with --debug [internal]\n',
    )
    expect(error.exitCode).toBe(70)
  })
})

group('a mistake on the command line', () => {
  const parse = (argv: string[]) =>
    Parser.parse(argv, {
      args: {host: Args.string({required: true, description: 'the host'})},
      flags: {
        port: Flags.integer(),
        format: Flags.string({options: ['text', 'json']}),
        proxy: Flags.string({required: true}),
      },
      strict: true,
    })

  test.each([
    [['--proxy=p'], 'missing argument HOST'],
    [['h', '--proxy=p', '--nope'], 'unknown flag --nope'],
    [['h', '--proxy=p', 'extra'], 'unexpected argument: extra'],
    [['h'], 'missing required flag proxy'],
    [['h', '--proxy=p', '--format=xml'], 'expected --format=xml to be one of: text, json'],
    [['h', '--proxy=p', '--port=x'], '--port: Expected an integer but received: x'],
    [['h', '--proxy'], 'flag --proxy expects a value'],
  ])('%j is one line that names the help, exit 2', async (argv, message) => {
    const error = toProblem(await thrownBy(parse(argv)), 'users add')
    expect(describe(error, plain)).toBe(`sallyport: ${message}; see sallyport users add --help [usage]\n`)
    expect(error.exitCode).toBe(2)
  })

  test('an exit on purpose is no error', () => {
    expect(exitStatus(new Errors.ExitError(7))).toBe(7)
    expect(exitStatus(new Errors.CLIError('no'))).toBeUndefined()
    expect(exitStatus(new Error('no'))).toBeUndefined()
  })
})
