/**
 * How a file of a checkout comes out of the store: as a copy that shares its blocks, as another name of the store's own
 * inode, or as a copy. `auto` is `hardlink` where the container cannot write to such files, else `reflink`, and `copy` where
 * that does not work. `overlay` is `auto` with an overlay above the files.
 */
export type CheckoutMethod = (typeof checkoutMethods)[number]

export const checkoutMethods = ['auto', 'reflink', 'hardlink', 'copy', 'overlay'] as const
