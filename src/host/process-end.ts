/** How a process ends that has made system calls of its own: at once. Of others it is undefined: to load what that needs takes longer. */
export const processEnd: { atOnce?: (status: number) => void } = {}
