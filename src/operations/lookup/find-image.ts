import { ForerunError } from '../../errors.ts'
import { formatFullLocation, formatLocation, type ImageLocation } from '../../image/location.ts'
import type { ImageSource } from '../../source/source.ts'
import type { Context, SourceOptions } from '../context.ts'
import { acceptImage, neededAcceptance } from './accept-image.ts'
import { type ResolvedImage, resolveImage, wantedPlatform } from './resolve-image.ts'

/** An image that is there, and the source that has it. Dispose of it to close the source. */
export interface FoundImage extends AsyncDisposable {
  /** The one place of those that its words may mean. */
  readonly location: ImageLocation
  readonly image: ResolvedImage
  /** What the policy required of it, as `acceptanceOf` writes it; undefined when nothing, or when it was not asked. */
  readonly acceptance: string | undefined
  readonly source: ImageSource
}

/**
 * Looks for an image where its words may mean, in order: a name without a registry may be in several. It has been judged
 * before anything of it is used.
 *
 * @param options.judged `false` for looking at an image only, without using it.
 * @throws the one place's error; of several places one error that tells of each.
 */
export async function findImage(
  location: ImageLocation,
  options: SourceOptions & { readonly judged?: boolean },
  context: Context,
): Promise<FoundImage> {
  const platform = wantedPlatform(options)
  const candidates = await context.candidates(location)
  const failures: ForerunError[] = []
  for (const candidate of candidates) {
    await using opened = new AsyncDisposableStack()
    const source = opened.use(await context.source(candidate, options))
    try {
      const isJudged = options.judged !== false
      const accept = isJudged ? acceptImage(candidate, source, context) : async () => {}
      // Read before judging: should the policy change meanwhile, the image is judged again.
      const acceptance = isJudged ? neededAcceptance(candidate) : undefined
      const image = await resolveImage(source, platform, { context, accept })
      const owned = opened.move()
      return { location: candidate, image, acceptance, source, [Symbol.asyncDispose]: () => owned.disposeAsync() }
    } catch (error) {
      if (!isElsewhere(error) || candidates.length === 1) throw error
      failures.push(error)
    }
  }
  throw nowhere(location, candidates, failures)
}

/** Whether the image may well be at the next place. */
function isElsewhere(error: unknown): error is ForerunError {
  return error instanceof ForerunError && ['image-not-found', 'unauthorized', 'registry'].includes(error.code)
}

function nowhere(
  location: ImageLocation,
  candidates: readonly ImageLocation[],
  failures: readonly ForerunError[],
): ForerunError {
  const places = candidates.map(formatFullLocation)
  const reasons = failures.map(({ message }) => message).join('; ')
  return new ForerunError('image-not-found', `'${formatLocation(location)}' was not found: ${reasons}`, {
    hint: `Write the name with its registry, as one of: ${places.join(', ')}.`,
    cause: failures[0],
  })
}
