/** Stands in for the verifying thread on a machine where it can't start. */
throw new Error('no such thread')
