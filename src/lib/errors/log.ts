/** Where a service tells its administrator what happens; who needs less takes a part of it. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
