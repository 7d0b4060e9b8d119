import { SignatureFault } from '../signature-fault.ts'

/**
 * Makes a check on one thing after the other until one holds, and returns what it gave.
 *
 * @param options.nothing the fault when there are none. @throws SignatureFault the fault of the first, when none holds.
 */
export function firstThatHolds<Item, Result>(
  items: readonly Item[],
  check: (item: Item) => Result,
  { nothing }: { nothing: string },
): Result {
  let first: SignatureFault | undefined
  for (const item of items) {
    try {
      return check(item)
    } catch (error) {
      if (!(error instanceof SignatureFault)) throw error
      first ??= error
    }
  }
  throw first ?? new SignatureFault(nothing)
}
