import {type ForgedOptions, strings} from '../forged-certificate.js'
import type {Rule} from './rule.js'

const stricter = 'PROTOCOL.certkeys forbids it, OpenSSH does not look'

export function optionRules(): Rule[] {
  const critical = (...criticalOptions: ForgedOptions) => ({change: {criticalOptions}})
  const extensions = (...options: ForgedOptions) => ({change: {extensions: options}})
  const accepted = {code: 'accepted', sshd: 'accepts'} as const
  const rejected = (sshd: RegExp) => ({code: 'certificate_rejected', sshd}) as const
  const weRefuse = (differs: string) => ({code: 'certificate_rejected', sshd: 'accepts', differs}) as const
  const forced = ['force-command', 'true'] as const
  const source = ['source-address', '127.0.0.1'] as const
  const pty = ['permit-pty', ''] as const
  return [
    {name: 'it forces a command', ...critical(forced), ...accepted},
    {name: 'it forces a command and is tied to an address', ...critical(forced, source), ...accepted},
    {
      name: 'it has an unknown critical option',
      ...critical(['constructor', '']),
      ...rejected(/critical option "constructor" is not supported/),
    },
    {
      name: 'it has an unknown critical option after a known one',
      ...critical(forced, ['zzz', 'x']),
      ...rejected(/critical option "zzz" is not supported/),
    },
    {
      name: 'a critical option has no name',
      ...critical(['', '']),
      ...rejected(/critical option "" is not supported/),
    },
    {
      name: 'it asks for a verified FIDO touch',
      ...critical(['verify-required', '']),
      ...weRefuse('sshd knows that option and enforces it on FIDO keys alone'),
    },
    {
      name: 'its forced command has no value',
      ...critical(['force-command', Buffer.alloc(0)]),
      ...rejected(/Unable to parse "force-command"/),
    },
    {
      name: 'its forced command is empty',
      ...critical(['force-command', strings([''])]),
      ...weRefuse('an empty command is easily taken for none'),
    },
    {
      name: 'the value of a critical option has trailing bytes',
      ...critical(['force-command', Buffer.concat([strings(['true']), Buffer.of(0)])]),
      ...{code: 'protocol_error', sshd: /"force-command" corrupt/},
    },
    {
      name: 'the value of a critical option has NUL in it',
      ...critical(['force-command', 'true\0; id']),
      ...rejected(/Unable to parse "force-command"/),
    },
    {
      name: 'it has a critical option twice',
      ...critical(forced, forced),
      ...rejected(/multiple force-command options/),
    },
    {name: 'its critical options are not sorted', ...critical(source, forced), ...weRefuse(stricter)},
    {name: 'a critical option stands among the extensions', ...extensions(forced), ...accepted},
    {name: 'it has no extensions', ...extensions(), ...accepted},
    {name: 'it has an unknown extension', ...extensions(['groups@example.com', '{"a":1}']), ...accepted},
    {
      name: 'an unknown extension has data of its own form',
      ...extensions(['x@example.com', Buffer.of(1, 2, 3)]),
      ...accepted,
    },
    {name: 'it has an extension twice', ...extensions(pty, pty), ...weRefuse(stricter)},
    {
      name: 'its extensions are not sorted',
      ...extensions(pty, ['permit-agent-forwarding', '']),
      ...weRefuse(stricter),
    },
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
    from('0.0.0.0/33', malformed),
    from('::/129,127.0.0.1', malformed),
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
