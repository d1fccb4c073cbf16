import sys
sys.path.insert(0, "..")
from case import done, Kit
from pycases import commands, example, files, ports, resources, sandboxes, second, snapshots
from record import record
import langsmith.sandbox

sdk = record(langsmith.sandbox)

kit = Kit(sdk, 2, sys.argv[1] == "async")
if kit.asynchronous:
    example.cases(kit)
for module in (sandboxes, commands, files, ports, snapshots, second, resources):
    module.cases(kit)
done()
