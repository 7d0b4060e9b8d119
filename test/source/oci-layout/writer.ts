import { writeImage } from './writing.ts'

/** A process of its own: writes an image, or says `half` after the first half of its blob and waits to be killed. */
const [folder = '', name, text = '', wait] = process.argv.slice(2)
const blob = Buffer.from(text)

async function* content(): AsyncGenerator<Buffer> {
  yield blob.subarray(0, blob.length / 2)
  if (wait !== undefined) {
    process.stdout.write('half')
    await new Promise((resolve) => setTimeout(resolve, 30_000))
  }
  yield blob.subarray(blob.length / 2)
}

await writeImage(folder, { name, blob, open: content })
