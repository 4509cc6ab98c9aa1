-- What scripts of single requests share: `run` is a name of its own for each run and thread, and `sent` counts its requests.
local thread_number = 0

function setup(thread)
  thread_number = thread_number + 1
  thread:set("number", thread_number)
end

function init(_)
  math.randomseed(os.time() * 1000 + number)
  sent = 0
  run = string.format("%d-%d-%d", os.time(), math.random(1, 1000000000), number)
end
