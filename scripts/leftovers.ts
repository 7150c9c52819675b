import {spawnSync} from 'node:child_process'

/** Files that git does not know and does not ignore; none where there is no git, or no repository. */
export function untracked(root: string): string[] {
  const words = ['ls-files', '--others', '--exclude-standard']
  const {status, stdout} = spawnSync('git', words, {cwd: root, encoding: 'utf8'})
  return status === 0 ? stdout.split('\n').filter(Boolean) : []
}
