// Loaded into a service before anything else (NODE_OPTIONS=--import): kills it, as kill -9 does, right before the step on
// the disk that KILLED_AT names, `rename .removing.jsonl` for one.
import fs from 'node:fs'
import {syncBuiltinESMExports} from 'node:module'

const [kind, ending] = process.env.KILLED_AT.split(' ')
const real = fs.promises[kind]
fs.promises[kind] = async (...given) => {
  if (given.some(path => String(path).endsWith(ending))) process.kill(process.pid, 'SIGKILL')
  return await real(...given)
}
syncBuiltinESMExports()
