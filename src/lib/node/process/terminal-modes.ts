import {readPtyRequest} from '../../session/index.js'
import {WireReader} from '../../sshcert/index.js'
import type {Terminal} from './types.js'

/** Special characters (RFC 4254 §8, opcodes 1–18) by their name in stty(1). */
const characters: Readonly<Record<number, string>> = {
  1: 'intr',
  2: 'quit',
  3: 'erase',
  4: 'kill',
  5: 'eof',
  6: 'eol',
  7: 'eol2',
  8: 'start',
  9: 'stop',
  10: 'susp',
  12: 'rprnt',
  13: 'werase',
  14: 'lnext',
}

/**
 * Switches (opcodes 30–93) by their name in stty(1): those that the terminals of Linux, BSD and macOS have in common.
 * Character size and parity are left out, since a pseudo-terminal has neither.
 */
const switches: Readonly<Record<number, string>> = {
  30: 'ignpar',
  31: 'parmrk',
  32: 'inpck',
  33: 'istrip',
  34: 'inlcr',
  35: 'igncr',
  36: 'icrnl',
  38: 'ixon',
  39: 'ixany',
  40: 'ixoff',
  41: 'imaxbel',
  42: 'iutf8',
  50: 'isig',
  51: 'icanon',
  53: 'echo',
  54: 'echoe',
  55: 'echok',
  56: 'echonl',
  57: 'noflsh',
  58: 'tostop',
  59: 'iexten',
  60: 'echoctl',
  61: 'echoke',
  70: 'opost',
  72: 'onlcr',
  73: 'ocrnl',
  74: 'onocr',
  75: 'onlret',
}

/** TTY_OP_END, and everything from 160 on: "cause parsing to stop" (RFC 4254 §8). */
const endOfModes = 0
const firstUndefined = 160
/** Twice as many as there are opcodes. */
const maxModes = 320
const disabled = 255

/** The whole of a pty-req (RFC 4254 §6.2). @throws protocol_error where it is malformed */
export function readTerminal(data: Buffer): Terminal {
  const reader = new WireReader(data)
  reader.string()
  // Cells were read with the rest; pixels nobody asks a pseudo-terminal for.
  for (let field = 0; field < 4; field++) reader.u32()
  return {...readPtyRequest(data), modes: Buffer.from(reader.string())}
}

/** Encoded terminal modes (RFC 4254 §8) as arguments of stty(1), up to the first byte that makes no sense. */
export function sttyArguments(modes: Buffer): string[] {
  const reader = new WireReader(modes)
  const args: string[] = []
  for (let count = 0; count < maxModes && reader.remaining() >= 5; count++) {
    const opcode = reader.u8()
    if (opcode === endOfModes || opcode >= firstUndefined) break
    args.push(...sttyArgument(opcode, reader.u32()))
  }
  return args
}

function sttyArgument(opcode: number, value: number): string[] {
  const flag = switches[opcode]
  if (flag) return [value === 0 ? `-${flag}` : flag]
  const character = characters[opcode]
  if (!character) return []
  const spelling = characterSpelling(value)
  return spelling === undefined ? [] : [character, spelling]
}

/** stty(1) takes `^C` and plain characters; a byte beyond ASCII it knows no common spelling for. */
function characterSpelling(value: number): string | undefined {
  if (value === disabled || value === 0) return '^-'
  if (value === 0x7f) return '^?'
  if (value < 0x20) return `^${String.fromCharCode(value + 0x40)}`
  return value < 0x7f ? String.fromCharCode(value) : undefined
}
