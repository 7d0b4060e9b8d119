import type { Context } from '../context.ts'
import { lockStore } from '../locks.ts'
import type { InstallableImage } from './installable-image.ts'

export interface ImageFinder<Image = InstallableImage> {
  /** undefined where it has to be fetched. */
  stored(): Promise<Image | undefined>
  fetched(): Promise<Image>
}

/**
 * An image, and the store locked so that it stays: shared with others where it is stored already, and by itself for as long as
 * it is fetched.
 */
export async function lockedImage<Image = InstallableImage>(
  title: string,
  find: ImageFinder<Image>,
  context: Context,
): Promise<{ image: Image } & Disposable> {
  const shared = await lockStore(title, 'shared', context)
  const stored = await find.stored().catch((error: unknown) => {
    shared[Symbol.dispose]()
    throw error
  })
  if (stored !== undefined) return { image: stored, [Symbol.dispose]: () => shared[Symbol.dispose]() }
  shared[Symbol.dispose]()
  const lock = await lockStore(title, 'exclusive', context)
  try {
    const image = await find.fetched()
    lock.share()
    return { image, [Symbol.dispose]: () => lock[Symbol.dispose]() }
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}
