import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { wire } from '../../src/cli/wire.ts'
import { parseLocation } from '../../src/image/location.ts'
import { installableImage } from '../../src/operations/containers/installable-image.ts'
import type { Context } from '../../src/operations/context.ts'
import { lockStore } from '../../src/operations/locks.ts'
import { pull } from '../../src/operations/transfer/pull.ts'
import type { CheckoutMethod } from '../../src/tree/checkout-method.ts'
import { checkOutInThreads } from '../../src/workers/check-out-in-threads.ts'

/**
 * What `install` does before it touches the host, in the shipped form: an entry point that is bundled for the bench alone.
 *
 *     program.cjs pull FOLDER IMAGE        into the store FOLDER/store
 *     program.cjs install FOLDER IMAGE TO [METHOD]
 */
async function main([action, folder = '', image = '', target = '', method = 'auto']: string[]): Promise<void> {
  await using wired = wire({ emit() {}, signal: new AbortController().signal })
  const store = join(folder, 'store')
  const paths = { ...wired.paths, store, journal: join(folder, 'journal'), storeLock: join(folder, 'store.lock') }
  const context: Context = { ...wired, paths }
  if (action === 'pull') await pull(image, sourceOptions, context)
  else await checkOut(image, { target: join(folder, target), method: method as CheckoutMethod }, context)
}

const sourceOptions = { tlsVerify: false }

async function checkOut(
  image: string,
  options: { target: string; method: CheckoutMethod },
  context: Context,
): Promise<void> {
  using _lock = await lockStore('bench', 'exclusive', context)
  const { tree } = await installableImage({ location: parseLocation(image), sourceOptions, rootfs: undefined }, context)
  mkdirSync(join(options.target, '..'), { recursive: true })
  await checkOutInThreads(context.paths.store, tree, { ...options, shared: true }, context)
}

// As the program itself, it ends when nothing is left to do.
main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  process.exitCode = 1
})
