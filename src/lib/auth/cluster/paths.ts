/** Who a proxy speaks for, when it is not for itself: the address of somebody without a name at its web port. */
export const onBehalfHeader = 'sallyport-anonymous'
/** The path on which a proxy passes a user's connection on. */
export const userPath = '/v1/user'
