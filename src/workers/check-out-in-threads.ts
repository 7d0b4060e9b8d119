import { type CheckoutOptions, checkOut } from '../store/checkout.ts'
import type { DirectoryNode } from '../tree/node.ts'
import { placeInThreads } from './place-in-threads.ts'
import type { ThreadContext } from './threads.ts'

/** As `checkOut`, on all cores. */
export async function checkOutInThreads(
  store: string,
  tree: DirectoryNode,
  options: Omit<CheckoutOptions, 'placer' | 'signal'>,
  { threads, signal }: ThreadContext,
): Promise<void> {
  const { method, shared } = options
  await using placer = placeInThreads({ store, method, shared }, { threads, signal })
  await checkOut(store, tree, { ...options, placer, signal })
}
