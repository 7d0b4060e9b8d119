import { openSource } from '../../src/cli/open-image.ts'
import { readSettings } from '../../src/config/settings.ts'
import { hostPaths } from '../../src/host/paths.ts'
import type { LayerLimits } from '../../src/image/layer-limits.ts'
import { parseLocation } from '../../src/image/location.ts'
import type { Context } from '../../src/operations/context.ts'
import { pullImage } from '../../src/operations/pull.ts'
import { checkOut } from '../../src/store/checkout.ts'
import type { CheckoutMethod } from '../../src/store/checkout-method.ts'
import { imageTree } from '../../src/store/image.ts'

/**
 * Pulls an image into a store below `folder` and checks it out at `target`, by the very code of `forerun install`.
 *
 * @param image words for an image, such as `oci:FOLDER:TAG`.
 */
export async function unpackImage(
  image: string,
  target: string,
  options: { folder: string; method?: CheckoutMethod; limits?: Partial<LayerLimits>; signal?: AbortSignal },
): Promise<void> {
  const { folder, method = 'auto', limits = {}, signal = new AbortController().signal } = options
  const context = storeContext(folder, { limits, signal })
  const record = await pullImage(parseLocation(image), {}, context)
  const tree = imageTree(context.paths.store, record)
  if (tree === undefined) throw new Error('a layer that was just pulled is not in the store')
  await checkOut(context.paths.store, tree, { target, method, shared: true, signal })
}

/** A context with its own store, and the real sources. */
export function storeContext(
  folder: string,
  { limits, signal }: { limits: Partial<LayerLimits>; signal: AbortSignal },
): Context {
  const defaults = readSettings({ root: folder })
  const settings = { ...defaults, limits: { ...defaults.limits, ...limits } }
  return {
    version: '0',
    settings,
    paths: hostPaths({ store: `${folder}/store`, containers: `${folder}/containers` }),
    emit: () => {},
    signal,
    candidates: async (location) => [location],
    source: (location, given) => openSource(location, given, { settings, signal }),
    target: () => Promise.reject(new Error('nothing is pushed')),
    manager: () => Promise.reject(new Error('no systemd is needed')),
  }
}
