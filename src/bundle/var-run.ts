/** A path of the host by its real name: `/var/run` is a link to `/run` on every host of systemd. */
export function withoutVarRun(path: string): string {
  return path.replace(/^\/var\/run(?=\/|$)/, '/run')
}
