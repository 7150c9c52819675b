#!/usr/bin/env node
import {fileURLToPath} from 'node:url'
import {main} from '../dist/lib/cli/main.js'

await main(process.argv.slice(2), {root: fileURLToPath(new URL('..', import.meta.url))})
