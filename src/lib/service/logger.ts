import {destination, type Logger, pino} from 'pino'
import type {Severity} from '../config/index.js'

// Whatever a caller puts into a record by mistake: a secret under one of these names does not reach the log.
const secretNames = ['password', 'otp', 'token', 'secret', 'privateKey', 'authorization', 'cookie']

/** JSON records, one a line, on stderr: stdout belongs to the lines with the addresses. */
export const createLogger = (severity: Severity, fields: {nodename: string}): Logger =>
  pino(
    {
      level: severity,
      base: {pid: process.pid, ...fields},
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {level: label => ({level: label})},
      redact: {paths: secretNames.flatMap(name => [name, `*.${name}`]), censor: '[secret]'},
    },
    // Synchronous: the last lines before an end are the ones somebody will look for.
    destination({fd: 2, sync: true}),
  )
