import sys
sys.path.insert(0, "..")
from case import done, Kit
from pycases import commands, example, files, first, ports, sandboxes, snapshots
from record import record
import langsmith.sandbox

sdk = record(langsmith.sandbox)

kit = Kit(sdk, 1, sys.argv[1] == "async")
if kit.asynchronous:
    example.cases(kit)
for module in (first, sandboxes, commands, files, ports, snapshots):
    module.cases(kit)
done()
