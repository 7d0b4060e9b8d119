/**
 * How a file of a checkout comes out of the store: as a copy that shares its blocks, as another name of the store's own
 * inode, or as a copy. `auto` keeps the first of them that works. `overlay` is `auto` with an overlay above the files.
 */
export type CheckoutMethod = (typeof checkoutMethods)[number]

export const checkoutMethods = ['auto', 'reflink', 'hardlink', 'copy', 'overlay'] as const
