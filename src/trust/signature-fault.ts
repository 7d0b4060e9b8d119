/** Why one signature does not count, as a phrase that follows its name: `is by an unknown key 0123…`. Never leaves `trust/`. */
export class SignatureFault extends Error {
  override readonly name = 'SignatureFault'
}
