/** sshd's LoginGraceTime is 120 s; a certificate needs no typing. */
export const graceMilliseconds = 30_000

/** Who takes nothing any more is not waited for longer than this with the last words. */
export const farewellMilliseconds = 1000
