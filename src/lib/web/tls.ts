export interface WebTls {
  /** PEM, leaf first. */
  cert: string
  /** PEM. */
  key: string
  selfSigned: boolean
}
