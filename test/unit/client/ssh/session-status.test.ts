import {describe, expect, test} from 'vitest'
import {currentSession, sessionLines} from '../../../../src/lib/client/ssh/session-status.js'

const environment = {
  SSH_SESSION_ID: '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11',
  SSH_TELEPORT_USER: 'joe',
  SSH_TELEPORT_CLUSTER_NAME: 'acme.example',
  SSH_TELEPORT_HOST_UUID: '7f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11',
  SSH_CONNECTION: '192.0.2.9 5000 192.0.2.7 3022',
  USER: 'root',
}

describe('the session that a program runs in', () => {
  test('is what the environment says', () => {
    const session = currentSession(environment)
    expect(session).toEqual({
      session_id: environment.SSH_SESSION_ID,
      user: 'joe',
      login: 'root',
      cluster: 'acme.example',
      host_uuid: environment.SSH_TELEPORT_HOST_UUID,
      client: '192.0.2.9:5000',
    })
    expect(session && sessionLines(session)[1]).toContain('joe, logged in as root from 192.0.2.9:5000')
  })

  test.each([{}, {SSH_SESSION_ID: ''}, {SSH_SESSION_ID: 'other'}])('is none outside of one: %j', given => {
    expect(currentSession(given)).toBeUndefined()
  })

  test('is shown without what would move a terminal’s cursor', () => {
    const session = currentSession({...environment, SSH_TELEPORT_USER: '\u001b[2Jjoe\n', SSH_CONNECTION: ''})
    expect(session).toMatchObject({user: '?[2Jjoe?'})
    expect(session).not.toHaveProperty('client')
  })
})
