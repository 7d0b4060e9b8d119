import { isOpen } from '../../config/update-window.ts'
import type { Context } from '../context.ts'
import { type DownloadResult, downloadUpdates } from './download-updates.ts'
import { type UpdateRequest, type UpdateResult, updateContainers } from './update.ts'

/**
 * Updates all containers, as the timer does it: outside of the update window of the settings what there is to update to is only
 * downloaded.
 *
 * @param now compared with the window in the host's own time.
 */
export async function updateUnattended(
  request: UpdateRequest,
  { now, context }: { now: Date; context: Context },
): Promise<(UpdateResult | DownloadResult)[]> {
  const { window } = context.settings.update
  if (window === undefined || isOpen(window, now)) return await updateContainers([], request, context)
  const message = 'It is outside of the update window: updates are downloaded, and no container is changed.'
  context.emit({ type: 'notice', message })
  return await downloadUpdates([], request, context)
}
