import type {Following} from './following.js'
import type {Measured} from './recording.js'

/** What it costs a transfer of files to be on record. */
export interface FileCost {
  load: string
  /** Of the recording proxy's CPU time, how much goes into following the file and hashing it. */
  followingShare: number
  /** MB/s beside a plain jump host. */
  ofJump: number
  /** MB/s beside the same bytes in a command, both through the recording proxy. */
  ofPlain: number
}

/** The load that moves the same bytes, the same way, as no file. */
const plainLoads: Readonly<Record<string, string>> = {'scp down': 'down, noise', 'scp up': 'up'}

/** Each load of files, by what was measured of it, of its plain pair, and of following alone. */
export function fileCosts(measured: readonly Measured[], {following}: Following): FileCost[] {
  const of = (load: string, way: string): Measured | undefined =>
    measured.find(each => each.load === load && each.way === way)
  return Object.entries(plainLoads).map(([load, plain]) => {
    const recorded = of(load, 'recorded')
    const rate = (one: Measured | undefined): number => one?.megabytesPerSecond ?? Number.NaN
    return {
      load,
      followingShare: following / (recorded?.cpuSecondsPerGigabyte ?? Number.NaN),
      ofJump: rate(recorded) / rate(of(load, 'jump')),
      ofPlain: rate(recorded) / rate(of(plain, 'recorded')),
    }
  })
}
