import {openSqliteBackend} from '../../../src/lib/backend/index.js'

// Run by the tests as a process of its own: opens the state named by its argument, writes, says how that went, and
// holds it until its standard input ends. With `endless` it writes until it is killed, saying what is acknowledged.
const [, , path = '', mode] = process.argv
try {
  const backend = await openSqliteBackend({path})
  await backend.put('held', Buffer.from(String(process.pid)))
  process.stdout.write('open\n')
  for (let count = 0; mode === 'endless'; count++) {
    const value = Buffer.from(String(count))
    await backend.transaction([
      {type: 'put', key: 'left', value},
      {type: 'put', key: 'right', value},
    ])
    process.stdout.write(`${count}\n`)
    if (count % 8 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  process.stdin.resume().once('end', () => void backend.close())
} catch (error) {
  process.stdout.write(`${(error as {code?: string}).code}\n`)
  process.exitCode = 3
}
