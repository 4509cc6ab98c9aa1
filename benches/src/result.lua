-- The end of each script: prints the result on one line.
function done(summary, latency, _)
  io.write(string.format(
    "RESULT %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(99)))
end
