const words = {
  role: 'Role',
  user: 'User',
  lock: 'Lock',
  node: 'Host',
  trusted_cluster: 'Trusted cluster',
  remote_cluster: 'Remote cluster',
} as const

export type RemovableKind = keyof typeof words

/** What a command says that has removed something: to people, and to programs as `create` says what it did. */
export const removed = (kind: RemovableKind, name: string) => ({
  view: {kind, name, outcome: 'removed' as const},
  line: `${words[kind]} ${name} has been removed`,
})
