import {Chalk, type ChalkInstance} from 'chalk'

export interface ColourStream {
  isTTY?: boolean
}

/** Colour only on a terminal, and never where NO_COLOR (https://no-color.org) is set or the terminal is dumb. */
export const wantsColour = (stream: ColourStream, env: NodeJS.ProcessEnv): boolean =>
  stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'

/** A chalk that writes sequences only where `stream` shows them. */
export const paint = (
  stream: ColourStream = process.stdout,
  env: NodeJS.ProcessEnv = process.env,
): ChalkInstance => new Chalk({level: wantsColour(stream, env) ? 1 : 0})
