/** Ms since 1970 as the clock had it when the process started, and from then on without its steps. */
export const steadyNow = () => Math.round(performance.timeOrigin + performance.now())
