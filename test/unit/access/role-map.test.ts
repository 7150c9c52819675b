import {expect, it} from 'vitest'
import {mapRoles, type RoleMapping} from '../../../src/lib/access/index.js'

const map: RoleMapping[] = [
  {remote: 'access', local: ['visitor']},
  {remote: 'dev-*', local: ['developer', 'visitor']},
  {remote: '^ops-[0-9]+$', local: ['operator']},
]

it.each<[string[], string[]]>([
  [['access'], ['visitor']],
  [['dev-web'], ['developer', 'visitor']],
  [
    ['access', 'dev-web'],
    ['visitor', 'developer'],
  ],
  [['ops-1'], ['operator']],
  [['ops-x'], []],
  [['Access'], []],
  [['visitor'], []],
  [[], []],
])('roles %j there are %j here', (remote, local) => {
  expect(mapRoles(map, remote)).toEqual(local)
})

it('without a mapping nobody has a role', () => {
  expect(mapRoles([], ['access', 'editor'])).toEqual([])
})
