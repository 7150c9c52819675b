/**
 * Every error a person can meet, with the exit code the CLI ends with. The code is part of the CLI's contract:
 * it is printed in brackets, travels over the wire in SSH refusals and API replies, and never changes its meaning.
 */
export const catalogue = {
  failure: 1,
  usage: 2,
  bad_credentials: 10,
  account_locked: 11,
  not_logged_in: 12,
  certificate_expired: 13,
  clock_skew: 14,
  access_denied: 15,
  otp_required: 16,
  certificate_rejected: 17,
  token_invalid: 18,
  rate_limited: 19,
  host_unreachable: 20,
  host_key_refused: 21,
  agent_required: 22,
  target_refused: 23,
  host_not_found: 24,
  host_ambiguous: 25,
  dial_forbidden: 26,
  proxy_unreachable: 27,
  tls_untrusted: 28,
  proxy_refused: 29,
  config_invalid: 30,
  service_not_running: 31,
  already_running: 32,
  already_exists: 33,
  not_found: 34,
  invalid_input: 35,
  store_failed: 36,
  recording_unavailable: 37,
  recording_corrupt: 40,
  audit_corrupt: 41,
  timeout: 42,
  limit_exceeded: 43,
  unavailable: 44,
  protocol_error: 45,
  cancelled: 46,
  internal: 70,
} as const satisfies Record<string, number>

export type ErrorCode = keyof typeof catalogue

export const isErrorCode = (value: string): value is ErrorCode => Object.hasOwn(catalogue, value)
