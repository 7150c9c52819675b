import {type Forgery, strings} from '../forged-certificate.js'
import type {Rule} from './rule.js'

const stricter = 'PROTOCOL.certkeys forbids it, OpenSSH does not look'

export function optionRules(): Rule[] {
  const option = (
    name: string,
    criticalOptions: Forgery['criticalOptions'],
    rest: Omit<Rule, 'name' | 'change'>,
  ) => ({
    name,
    change: {criticalOptions},
    ...rest,
  })
  const command = strings(['true'])
  return [
    option('it forces a command', [['force-command', 'true']], {code: 'accepted', sshd: 'accepts'}),
    option('it has an unknown critical option', [['constructor', '']], {
      ...{code: 'certificate_rejected', sshd: /critical option "constructor"/},
    }),
    option(
      'it has an unknown critical option after a known one',
      [
        ['force-command', 'true'],
        ['zzz', 'x'],
      ],
      {
        ...{code: 'certificate_rejected', sshd: /critical option "zzz"/},
      },
    ),
    option('it asks for a verified FIDO touch', [['verify-required', '']], {
      ...{code: 'certificate_rejected', sshd: 'accepts'},
      differs: 'sshd knows that option and enforces it on FIDO keys alone',
    }),
    option('its forced command has no value', [['force-command', Buffer.alloc(0)]], {
      ...{code: 'certificate_rejected', sshd: /Unable to parse "force-command"/},
    }),
    option('its forced command is empty', [['force-command', strings([''])]], {
      ...{
        code: 'certificate_rejected',
        sshd: 'accepts',
        differs: 'an empty command is easily taken for none',
      },
    }),
    option(
      'the value of a critical option has trailing bytes',
      [['force-command', Buffer.concat([command, Buffer.of(0)])]],
      {
        ...{code: 'protocol_error', sshd: /"force-command" corrupt/},
      },
    ),
    option('the value of a critical option has NUL in it', [['force-command', 'true\0; id']], {
      ...{code: 'certificate_rejected', sshd: /Unable to parse "force-command"/},
    }),
    option(
      'it has a critical option twice',
      [
        ['force-command', 'true'],
        ['force-command', 'true'],
      ],
      {
        ...{code: 'certificate_rejected', sshd: /multiple force-command options/},
      },
    ),
    option(
      'its critical options are not sorted',
      [
        ['source-address', '127.0.0.1'],
        ['force-command', 'true'],
      ],
      {
        ...{code: 'certificate_rejected', sshd: 'accepts', differs: stricter},
      },
    ),
    {
      name: 'a critical option stands among the extensions',
      ...{change: {extensions: [['force-command', 'false']]}, code: 'accepted', sshd: 'accepts'},
    },
    {name: 'it has no extensions', change: {extensions: []}, code: 'accepted', sshd: 'accepts'},
    {
      name: 'it has an unknown extension',
      ...{change: {extensions: [['groups@example.com', '{"a":1}']]}, code: 'accepted', sshd: 'accepts'},
    },
    {
      name: 'an unknown extension has data of its own form',
      ...{change: {extensions: [['x@example.com', Buffer.of(1, 2, 3)]]}, code: 'accepted', sshd: 'accepts'},
    },
    {
      name: 'it has an extension twice',
      change: {
        extensions: [
          ['permit-pty', ''],
          ['permit-pty', ''],
        ],
      },
      ...{code: 'certificate_rejected', sshd: 'accepts', differs: stricter},
    },
    {
      name: 'its extensions are not sorted',
      change: {
        extensions: [
          ['permit-pty', ''],
          ['permit-agent-forwarding', ''],
        ],
      },
      ...{code: 'certificate_rejected', sshd: 'accepts', differs: stricter},
    },
    option('a critical option has no name', [['', '']], {
      ...{code: 'certificate_rejected', sshd: /critical option "" is not supported/},
    }),
  ]
}

export function sourceAddressRules(): Rule[] {
  const from = (list: string | Buffer, rest: Pick<Rule, 'code' | 'sshd'> & Partial<Rule>): Rule => ({
    name: `it may come from ${Buffer.isBuffer(list) ? `a value of ${list.length} bytes` : JSON.stringify(list)}`,
    change: {criticalOptions: [['source-address', list]]},
    ...rest,
  })
  const accepted = {code: 'accepted', sshd: 'accepts'} as const
  const mismatch = {
    code: 'certificate_rejected',
    sshd: /not from a permitted source address/,
  } as const
  const malformed = {
    code: 'certificate_rejected',
    sshd: /Certificate source-address contents invalid/,
  } as const
  const peers = 'unasked: the peer of a test is 127.0.0.1'
  return [
    from('127.0.0.1', accepted),
    from('127.0.0.1/32', accepted),
    from('127.0.0.0/8', accepted),
    from('0.0.0.0/0', accepted),
    from('10.0.0.0/8,127.0.0.1', accepted),
    from('2001:db8::/32,127.0.0.1', accepted),
    from('127.0.0.2', mismatch),
    from('10.0.0.0/8', mismatch),
    from('126.0.0.0/8,128.0.0.0/1', mismatch),
    from('::1', mismatch),
    from('::/0', mismatch),
    from('::ffff:127.0.0.1', mismatch),
    from('127.0.0.0/8,10.0.0.1/8', malformed),
    from('127.0.0.1/8', malformed),
    from('127.0.0.1/33', malformed),
    from('127.0.0.1/', malformed),
    from('127.0.0.1/x', malformed),
    from('127.0.0.1,', malformed),
    from(',127.0.0.1', malformed),
    from('127.0.0.1, 10.0.0.1', malformed),
    from('127.1', {
      ...{code: 'certificate_rejected', sshd: 'accepts', differs: 'only C reads a short form as an address'},
    }),
    from('0x7f.0.0.1', malformed),
    from('localhost', malformed),
    from('*', malformed),
    from('!10.0.0.1', malformed),
    from('127.0.0.1\n', malformed),
    from(strings(['']), malformed),
    from(Buffer.alloc(0), {code: 'certificate_rejected', sshd: /Unable to parse "source-address"/}),
    from('127.0.0.1', {
      ...{
        name: 'it is tied to an address and the peer’s is not known',
        code: 'certificate_rejected',
        sshd: peers,
      },
      policy: {remoteAddress: undefined},
    }),
    from('127.0.0.1', {
      ...{
        name: 'it is tied to an address and the peer’s makes no sense',
        code: 'certificate_rejected',
        sshd: peers,
      },
      policy: {remoteAddress: '127.0.0.1.'},
    }),
    from('127.0.0.1', {
      ...{name: 'the peer is the address, IPv4-mapped', code: 'accepted', sshd: peers},
      policy: {remoteAddress: '::ffff:127.0.0.1'},
    }),
    from('127.0.0.1', {
      ...{name: 'the peer is the address, IPv4-mapped in hexadecimal', code: 'accepted', sshd: peers},
      policy: {remoteAddress: '::FFFF:7f00:1'},
    }),
    from('127.0.0.1', {
      ...{name: 'the peer is the address, IPv4-compatible', code: 'certificate_rejected', sshd: peers},
      policy: {remoteAddress: '::127.0.0.1'},
    }),
    from('2001:db8::/32', {
      ...{name: 'the peer is in an IPv6 block', code: 'accepted', sshd: peers},
      policy: {remoteAddress: '2001:DB8:ffff::1'},
    }),
    from('2001:db8::/33', {
      ...{name: 'the peer is just outside an IPv6 block', code: 'certificate_rejected', sshd: peers},
      policy: {remoteAddress: '2001:db8:8000::'},
    }),
    from('fe80::/10', {
      ...{name: 'the peer’s address has a zone', code: 'certificate_rejected', sshd: peers},
      policy: {remoteAddress: 'fe80::1%eth0'},
    }),
  ]
}
