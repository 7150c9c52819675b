import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {type Browser, chromium} from 'playwright-core'
import {atEnd} from './cleanup.js'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

// The later ones keep it from calling home, which a closed network refuses slowly.
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * A headless Chromium that is closed when the test file ends. Where none is installed it is installed (root on
 * Debian); otherwise the error says what to install.
 */
export async function launchChromium(): Promise<Browser> {
  const browser = await chromium.launch({executablePath: findOrInstall(), args: flags})
  atEnd(() => browser.close())
  return browser
}

function findOrInstall(): string {
  const found = find() ?? (canInstall() ? install() : undefined)
  if (found !== undefined) return found
  throw new Error(
    'the browser tests need Chromium; run: sudo apt-get install chromium (or your system’s package of it)',
  )
}

const find = (): string | undefined => places.find(path => existsSync(path))

const canInstall = (): boolean => process.getuid?.() === 0 && existsSync('/etc/debian_version')

function install(): string | undefined {
  const env = {...process.env, DEBIAN_FRONTEND: 'noninteractive'}
  for (const args of [
    ['update', '-q'],
    ['install', '-q', '-y', '--no-install-recommends', 'chromium'],
  ]) {
    spawnSync('apt-get', args, {stdio: ['ignore', 'inherit', 'inherit'], env})
  }
  return find()
}
