import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { wire } from '../../src/cli/wire.ts'
import { checkOutInThreads } from '../../src/operations/check-out-in-threads.ts'
import type { Context } from '../../src/operations/context.ts'
import { pull } from '../../src/operations/pull.ts'
import { findImages, wholeImage } from '../../src/store/image.ts'
import type { CheckoutMethod } from '../../src/tree/checkout-method.ts'

/**
 * What `install` does before it touches the host, in the shipped form: an entry point that is bundled for the bench alone.
 *
 *     program.cjs pull FOLDER IMAGE        into the store FOLDER/store
 *     program.cjs checkout FOLDER IMAGE TO METHOD
 *     program.cjs install FOLDER IMAGE TO METHOD
 */
async function main([action, folder = '', image = '', target = '', method]: string[]): Promise<void> {
  await using wired = wire({ emit() {}, signal: new AbortController().signal })
  const store = join(folder, 'store')
  const paths = { ...wired.paths, store, journal: join(folder, 'journal'), lock: join(folder, 'lock') }
  const context: Context = { ...wired, paths }
  if (action !== 'checkout') await pull(image, { tlsVerify: false }, context)
  if (action !== 'pull') await makeCheckout(context, image, { target: join(folder, target), method })
}

async function makeCheckout(
  context: Context,
  name: string,
  { target, method = 'auto' }: { target: string; method: string | undefined },
): Promise<void> {
  const { store } = context.paths
  const [record] = findImages(store, { name, id: '' })
  const image = record && wholeImage(store, record)
  if (image === undefined) throw new Error(`${name} is not stored`)
  mkdirSync(join(target, '..'), { recursive: true })
  const options = { target, method: method as CheckoutMethod, shared: true }
  await checkOutInThreads(store, image.tree, options, context)
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
    process.exit(1)
  },
)
