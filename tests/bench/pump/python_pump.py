"""What one writes first: each line to stdout, to a file, and to the broker, with the QoS that loses none. usage: python_pump.py PORT TOPIC FILE [SUFFIX OF THE CLIENT ID]"""
import sys

import paho.mqtt.client as mqtt

port, topic, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = mqtt.Client("python-pump" + "".join(sys.argv[4:]))
client.connect("127.0.0.1", port)
client.loop_start()
last = None
with open(path, "w") as log:
    while line := sys.stdin.readline():
        print(line, end="", flush=True)
        log.write(line)
        last = client.publish(topic, line.rstrip("\n"), qos=1)
if last:
    last.wait_for_publish()
client.disconnect()
client.loop_stop()
