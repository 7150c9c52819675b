import {join} from 'node:path'
import type {JoinRole, SystemApi} from '../../auth/index.js'
import type {SessionRecording} from '../../config/index.js'
import {createOutbox, type Outbox} from '../../outbox/index.js'
import type {Part} from './part.js'

export interface RoleOutbox {
  api: SystemApi
  status: Outbox['status']
  capBytes: number
}

/**
 * The auth API of a role whose auth service is on another machine: what the role reports goes to the disk of this one
 * first, and is delivered when that can be. @throws store_failed
 */
export async function withOutbox(
  {config, logger, now, resources, drain}: Part,
  role: JoinRole,
  api: SystemApi,
  recording: SessionRecording,
): Promise<RoleOutbox> {
  const capBytes = config.spoolBytes
  const outbox = await createOutbox({
    directory: join(config.dataDir, 'outbox', role),
    auth: api,
    capBytes,
    sync: recording.endsWith('-sync'),
    now,
    log: logger.child({outbox: role}),
  })
  resources.add(`outbox of the ${role}`, () => outbox.close(drain.milliseconds))
  const {emit, beginRecording, appendRecording, sealRecording} = outbox
  return {
    api: {...waking(api, outbox), emit, beginRecording, appendRecording, sealRecording},
    status: outbox.status,
    capBytes,
  }
}

/** Whatever auth answers shows that it can be told what waits. */
function waking(api: SystemApi, {wake}: Outbox): SystemApi {
  const wrapped = Object.entries(api).map(([name, method]) => [
    name,
    async (...parameters: unknown[]) => {
      const answer = await (method as (...values: unknown[]) => Promise<unknown>)(...parameters)
      wake()
      return answer
    },
  ])
  return Object.fromEntries(wrapped) as SystemApi
}
