#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stand-in for bluetoothd on a private bus: two adapters and a device for each BMS, whose characteristics pass bytes to and from a
TCP port (`packgate simulate --tcp 0`).

usage: mock_bluez.py [--mtu 23] [--delay 0.1] [ADAPTER+ADAPTER/]ADDRESS=PROFILE@HOST:PORT[,NAME]...

ADAPTER is whose radio reaches it, hci0 if none is named; each of them has an object of its own for it. PROFILE is one of the table below;
`advertiser` has no port and is never connected to. What BlueZ 5.66 does, and where its source says so:
- src/adapter.c, start_discovery(), set_discovery_filter(), stop_discovery(): NotReady without power, InProgress for a second scan of
  one client. Where a scan begins, or has to begin anew as another client wants another filter, the answer comes when the
  controller has begun (update_discovery_filter(), discovery_complete()); `adapter->client` is the one who is answered then, and who
  waited before him never is: StopDiscovery tells him InProgress (`client->msg`). The controller's refusal is InProgress as well,
  and ends the wish (start_discovery_complete()). A device that was only seen is forgotten 30 s after it was heard last
  (device_update_last_seen(), device_disappeared(); --temporary). Of each
  advertisement RSSI is told, as any filter makes the threshold 0 (btd_adapter_update_found_device(),
  device_set_rssi_with_delta()); unchanged data are told again only with DuplicateData. discovery_cleanup(): RSSI goes
  when the last client has stopped. A client that leaves the bus takes its scan with it (discovery_disconnect()). remove_device():
  one that is connected goes when its link has ended.
- src/device.c, dev_connect(): succeeds at once on a link that is there, be it about to end (dev_disconnect(): the link
  ends 2 s later, DISCONNECT_TIMER, and the answer comes then; a Connect that waits is answered with Failed). A second Connect to
  the same device while one is under way is Failed (device_connect_le(): EALREADY), one to another device is what a controller
  that is busy makes of it, le-connection-abort-by-local (att_connect_cb()); nobody should try, so it is said. Services
  stay known over disconnecting; device_remove() forgets them.
- src/gatt-client.c, characteristic_start_notify(): "Not Connected" while disconnecting, but success without a link; the
  characteristic's refusal as Failed, or NotPermitted "Not paired" (create_gatt_dbus_error()); sessions end with the client's
  connection to the bus and are taken up again on a new link (btd_gatt_client_connected()).
  characteristic_write_value(): InProgress while a write waits for its answer; a kind that the characteristic has not is tried
  all the same: the device refuses the one, "Write not permitted", and passes over the other.

What a test wants to go wrong it asks for at /mock, interface org.bluez.Mock1. The bus is the one of
DBUS_SYSTEM_BUS_ADDRESS. Says "ready" when it has its name, then what is done to it.
"""
import argparse
import os
import socket
import sys
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PROPERTIES, MANAGER = 'org.freedesktop.DBus.Properties', 'org.freedesktop.DBus.ObjectManager'
ADAPTER, DEVICE = 'org.bluez.Adapter1', 'org.bluez.Device1'
SERVICE, CHARACTERISTIC = 'org.bluez.GattService1', 'org.bluez.GattCharacteristic1'
MOCK = 'org.bluez.Mock1'
DISCONNECT_TIMER = 2  # seconds, as in src/device.c
VICTRON = 0x02E1


def uuid(short):
    return short if len(short) > 4 else f'0000{short}-0000-1000-8000-00805f9b34fb'


NOTIFY, BOTH = ['read', 'notify'], ['write-without-response', 'write']
# name: service, then (characteristic, flags, role)
PROFILES = {
    'daly': ('fff0', [('fff1', NOTIFY, 'rx'), ('fff2', BOTH, 'tx')]),
    'jbd': ('ff00', [('ff01', NOTIFY, 'rx'), ('ff02', BOTH, 'tx')]),
    'jk': ('ffe0', [('ffe1', [*BOTH, 'notify'], 'rxtx')]),
    'jk-two': ('ffe0', [('ffe1', ['write-without-response'], 'tx'), ('ffe1', ['notify'], 'rx')]),
    'jk-old': ('ffe0', [('ffe2', ['write-without-response'], 'tx'), ('ffe1', ['notify'], 'rx')]),
    'request': ('fff0', [('fff1', ['indicate'], 'rx'), ('fff2', ['write'], 'tx')]),
    # Newer Daly firmware: the first pair exists and does nothing.
    'daly-new': ('ff00', [('fff1', NOTIFY, ''), ('fff2', BOTH, ''), ('ff01', NOTIFY, 'rx'), ('ff02', BOTH, 'tx')]),
    # An endless table: the wanted pair comes last.
    'wide': ('ff00', [(f'{0xa000 + n:04x}', ['read', 'write', 'notify'], '') for n in range(400)] + [('ff01', NOTIFY, 'rx'), ('ff02', BOTH, 'tx')]),
    'nordic': ('6e400001-b5a3-f393-e0a9-e50e24dcca9e', [('6e400002-b5a3-f393-e0a9-e50e24dcca9e', BOTH, 'tx'),
                                                        ('6e400003-b5a3-f393-e0a9-e50e24dcca9e', NOTIFY, 'rx')]),
    'buknuwo': ('00002760-08c2-11e1-9073-0e8ac72e1001', [('00002760-08c2-11e1-9073-0e8ac72e0001', BOTH, 'tx'),
                                                         ('00002760-08c2-11e1-9073-0e8ac72e0002', NOTIFY, 'rx')]),
    'unknown': ('180a', [('2a29', ['read'], '')]),
    'advertiser': ('fe00', []),
}


def error(name, text):
    return dbus.exceptions.DBusException(text, name=f'org.bluez.Error.{name}')


def say(*words):
    print(*words, flush=True)


class Thing(dbus.service.Object):
    """An object with one interface and its properties."""

    interface = None

    def __init__(self, mock, path, values):
        super().__init__(mock.bus, path)
        self.mock, self.path, self.values = mock, path, values
        mock.things[path] = self

    def announce(self):
        self.mock.InterfacesAdded(dbus.ObjectPath(self.path), {self.interface: self.public()})

    def withdraw(self):
        self.mock.things.pop(self.path, None)
        self.remove_from_connection()
        self.mock.InterfacesRemoved(dbus.ObjectPath(self.path), [self.interface])

    def public(self):
        return dbus.Dictionary(self.values, signature='sv')

    def change(self, **values):
        self.values.update(values)
        self.PropertiesChanged(self.interface, dbus.Dictionary(values, signature='sv'), dbus.Array([], signature='s'))

    def invalidate(self, name):
        if self.values.pop(name, None) is not None:
            self.PropertiesChanged(self.interface, dbus.Dictionary({}, signature='sv'), dbus.Array([name], signature='s'))

    @dbus.service.signal(PROPERTIES, signature='sa{sv}as')
    def PropertiesChanged(self, interface, changed, invalidated):
        pass

    @dbus.service.method(PROPERTIES, in_signature='ss', out_signature='v')
    def Get(self, interface, name):
        return self.values[name]

    @dbus.service.method(PROPERTIES, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        return self.public()

    @dbus.service.method(PROPERTIES, in_signature='ssv')
    def Set(self, interface, name, value):
        if name == 'Powered':
            self.power(bool(value))


class Adapter(Thing):
    interface = ADAPTER

    def __init__(self, mock, name, address):
        super().__init__(mock, '/org/bluez/' + name, {'Address': address, 'Name': name, 'Powered': True, 'Discovering': False})
        self.name = name
        self.scanners, self.filters, self.told = set(), {}, {}
        self.connecting, self.starting, self.unanswered = None, None, set()

    def devices(self):
        return [thing for thing in list(self.mock.things.values()) if isinstance(thing, Device) and thing.adapter is self]

    def merged_filter(self):
        """What all clients together request from the controller."""
        wanted = [self.filters.get(sender) for sender in self.scanners]
        return (bool(wanted), all(filter and filter.get('Transport') == 'le' for filter in wanted))

    def advertise(self):
        """Each device in reach is reported, and devices that were only seen are forgotten."""
        now = time.monotonic()
        for device in self.devices():
            if device.temporary and not device.values['Connected'] and now - device.heard_at > self.mock.temporary_s:
                say('forgotten', device.values['Address'])
                device.withdraw()
        for one in self.mock.wanted.values() if self.scanners else ():
            if one.hidden or self.name not in one.adapters or any(device.values['Connected'] for device in self.mock.seen(one)):
                continue
            device = next((device for device in self.devices() if device.wanted is one), None)
            values = {'RSSI': dbus.Int16(one.signal)}
            again = any(wanted.get('DuplicateData') for wanted in map(self.filters.get, self.scanners) if wanted)
            if one.data is not None and (again or self.told.get(one.address) != one.data):
                self.told[one.address] = one.data
                values['ManufacturerData'] = dbus.Dictionary(
                    {dbus.UInt16(VICTRON): dbus.Array(one.data, signature='y', variant_level=1)}, signature='qv')
            if device:
                device.heard_at = now
                device.change(**values)
            else:
                device = Device(self, one)
                device.values.update(values)
                device.announce()

    def stop_scan(self, sender):
        if sender not in self.scanners:
            return
        self.scanners.discard(sender)
        self.unanswered.discard(sender)
        if self.starting and self.starting[0] == sender:
            self.starting = None
        say('scan stopped')
        if not self.scanners:
            for device in self.devices():
                device.invalidate('RSSI')
            self.change(Discovering=False)

    def power(self, on):
        if not on:
            for device in self.devices():
                device.cut()
            self.scanners.clear()
            self.filters.clear()
            self.unanswered.clear()
            self.starting = None
            self.change(Discovering=False)
        self.change(Powered=on)

    def unplug(self):
        self.power(False)
        for device in self.devices():
            device.remove()
        self.mock.things.pop(self.path)
        self.mock.InterfacesRemoved(dbus.ObjectPath(self.path), [ADAPTER])
        self.values['Powered'] = True

    @dbus.service.method(ADAPTER, in_signature='a{sv}', sender_keyword='sender')
    def SetDiscoveryFilter(self, wanted, sender=None):
        self.need_power()
        self.filters[sender] = wanted

    def need_power(self):
        if not self.values['Powered']:
            raise error('NotReady', 'Resource Not Ready')

    @dbus.service.method(ADAPTER, sender_keyword='sender', async_callbacks=('done', 'failed'))
    def StartDiscovery(self, done, failed, sender=None):
        if not self.values['Powered']:
            failed(error('NotReady', 'Resource Not Ready'))
        elif sender in self.scanners:
            failed(error('InProgress', 'Operation already in progress'))
        elif self.mock.scan_refusals:
            self.mock.scan_refusals -= 1
            failed(error('InProgress', 'Operation already in progress'))
        else:
            before = self.merged_filter() if self.values['Discovering'] else None
            self.scanners.add(sender)
            say('scan started')
            if before == self.merged_filter():
                done()
                return
            self.unanswered.add(sender)
            self.starting = sender, done
            GLib.timeout_add(int(self.mock.delay * 1000), self.started)

    def started(self):
        """The controller scans."""
        if self.starting:
            sender, done = self.starting
            self.starting = None
            self.unanswered.discard(sender)
            done()
        if self.scanners:
            self.change(Discovering=True)
        return False

    @dbus.service.method(ADAPTER, sender_keyword='sender')
    def StopDiscovery(self, sender=None):
        self.need_power()
        if sender not in self.scanners:
            raise error('Failed', 'No discovery started')
        if sender in self.unanswered:
            raise error('InProgress', 'Operation already in progress')
        self.stop_scan(sender)

    @dbus.service.method(ADAPTER, in_signature='o')
    def RemoveDevice(self, path):
        device = self.mock.things.get(path)
        if not isinstance(device, Device):
            raise error('DoesNotExist', 'Does Not Exist')
        say('removed', device.values['Address'])
        if not device.values['Connected']:
            device.remove()
            return
        device.going = True
        if not device.leaving:
            device.leaving = lambda: None
            GLib.timeout_add_seconds(DISCONNECT_TIMER, device.left)


class Device(Thing):
    interface = DEVICE

    def __init__(self, adapter, wanted):
        self.adapter = adapter
        super().__init__(adapter.mock, adapter.path + '/dev_' + wanted.address.replace(':', '_'), {
            'Address': wanted.address, 'AddressType': 'public', 'Name': wanted.name, 'Alias': wanted.name,
            'Adapter': dbus.ObjectPath(adapter.path), 'Paired': False, 'Trusted': False, 'Connected': False,
            'ServicesResolved': False,
            'UUIDs': dbus.Array([uuid(PROFILES[wanted.profile][0])], signature='s')})
        self.wanted, self.link, self.watch, self.leaving, self.going = wanted, None, None, None, False
        self.temporary, self.heard_at = True, time.monotonic()
        self.characteristics, self.waiting, self.services = [], None, []

    def make_services(self):
        if self.characteristics or self.wanted.stale:
            return
        service, parts = PROFILES[self.wanted.profile]
        path = f'{self.path}/service0010'
        self.services.append(Service(self.mock, path, {'UUID': uuid(service), 'Primary': True,
                                                       'Device': dbus.ObjectPath(self.path)}))
        self.services[-1].announce()
        for index, (short, flags, role) in enumerate(parts):
            characteristic = Characteristic(self, f'{path}/char{0x11 + 3 * index:04x}', path, short, flags, role)
            self.characteristics.append(characteristic)
            characteristic.announce()

    def remove(self):
        self.cut()
        for thing in [*self.characteristics, *self.services]:
            thing.withdraw()
        self.wanted.stale = False
        self.withdraw()

    @dbus.service.method(DEVICE, async_callbacks=('done', 'failed'))
    def Connect(self, done, failed):
        if not self.adapter.values['Powered']:
            failed(error('NotReady', 'Resource Not Ready'))
        elif self.values['Connected']:
            done()
        elif self.adapter.connecting is self:
            failed(error('Failed', 'Operation already in progress'))
        elif self.adapter.connecting:
            say('two at once', self.values['Address'])
            failed(error('Failed', 'le-connection-abort-by-local'))
        else:
            say('connecting', self.values['Address'])
            self.temporary = False
            self.adapter.connecting, self.waiting = self, failed
            if not self.wanted.hangs:
                GLib.timeout_add(int(self.mock.delay * 1000), self.connected, done, failed)

    def connected(self, done, failed):
        if self.adapter.connecting is not self:
            return False
        self.adapter.connecting = self.waiting = None
        try:
            if self.wanted.refusals or self.wanted.hidden:
                self.wanted.refusals = max(0, self.wanted.refusals - 1)
                raise OSError
            self.link = socket.create_connection(self.wanted.target, 5)
        except OSError:
            failed(error('Failed', 'le-connection-abort-by-local'))
            return False
        self.link.setblocking(False)
        self.watch = GLib.io_add_watch(self.link, GLib.IO_IN | GLib.IO_HUP, self.received)
        self.invalidate('RSSI')
        self.change(Connected=True)
        say('connected', self.values['Address'], 'over', self.adapter.name)
        done()
        GLib.timeout_add(int(self.mock.delay * 1000), self.resolved)
        return False

    def resolved(self):
        if self.values['Connected']:
            self.make_services()
            self.change(ServicesResolved=True)
        return False

    def received(self, link, condition):
        try:
            data = link.recv(4096)
        except OSError:
            data = b''
        if not data:
            self.watch = None
            self.cut()
            return False
        step = self.mock.mtu - 3
        for start in range(0, len(data), step):
            for characteristic in self.characteristics:
                characteristic.notify(data[start:start + step])
        return True

    def write(self, data, kind):
        if self.link and self.wanted.obeys in ('', kind):
            self.link.send(data)

    def cut(self):
        """The link is lost, for any reason."""
        if self.watch:
            GLib.source_remove(self.watch)
        if self.link:
            self.link.close()
        self.watch = self.link = None
        if self.adapter.connecting is self:
            self.adapter.connecting = None
            self.waiting(error('Failed', 'br-connection-canceled'))
            self.waiting = None
        if not self.values['Connected']:
            return
        self.change(ServicesResolved=False)
        self.change(Connected=False)
        say('disconnected', self.values['Address'])
        if self.leaving:
            self.leaving()
        self.leaving = None
        if self.going:
            self.remove()

    @dbus.service.method(DEVICE, async_callbacks=('done', 'failed'))
    def Disconnect(self, done, failed):
        if not self.values['Connected']:
            self.cut()
            done()
        elif not self.leaving:
            self.leaving = done
            GLib.timeout_add_seconds(DISCONNECT_TIMER, self.left)

    def left(self):
        if self.leaving:
            self.cut()
        return False


class Service(Thing):
    interface = SERVICE


class Characteristic(Thing):
    interface = CHARACTERISTIC

    def __init__(self, device, path, service, short, flags, role):
        super().__init__(device.mock, path, {
            'UUID': uuid(short), 'Service': dbus.ObjectPath(service), 'Flags': dbus.Array(flags, signature='s'),
            'Notifying': False, 'MTU': dbus.UInt16(device.mock.mtu), 'Value': dbus.Array([], signature='y')})
        self.device, self.role, self.short, self.listeners = device, role, short, set()

    def notify(self, data):
        if 'rx' in self.role and self.listeners:
            self.change(Value=dbus.Array(data, signature='y'))

    @dbus.service.method(CHARACTERISTIC, sender_keyword='sender')
    def StartNotify(self, sender=None):
        if self.device.leaving:
            raise error('NotConnected', 'Not Connected')
        if not {'notify', 'indicate'} & set(self.values['Flags']):
            raise error('NotSupported', 'Operation is not supported')
        if self.device.wanted.bond:
            raise error('NotPermitted', 'Not paired')
        if self.short in self.device.wanted.broken:
            raise error('Failed', 'Operation failed with ATT error: 0x0e')
        self.listeners.add(sender)
        say('notifying', self.device.values['Address'], self.short)
        self.change(Notifying=True)

    @dbus.service.method(CHARACTERISTIC, sender_keyword='sender')
    def StopNotify(self, sender=None):
        if sender not in self.listeners:
            raise error('Failed', 'No notify session started')
        self.listeners.discard(sender)
        self.change(Notifying=bool(self.listeners))

    @dbus.service.method(CHARACTERISTIC, in_signature='aya{sv}')
    def WriteValue(self, value, options):
        if not self.device.values['Connected']:
            raise error('Failed', 'Not connected')
        flags = self.values['Flags']
        kind = options.get('type', 'request' if 'write' in flags else 'command')
        if kind == 'request' and 'write' not in flags:
            raise error('NotPermitted', 'Write not permitted')
        if kind == 'command' and 'write-without-response' not in flags:
            return
        if self.device.wanted.busy:
            self.device.wanted.busy -= 1
            raise error('InProgress', 'In Progress')
        if 'tx' in self.role and (kind == 'request' or len(value) <= self.device.mock.mtu - 3):
            self.device.write(bytes(value), str(kind))


class Wanted:
    """A device that exists, whether BlueZ has seen it or not, and its faults."""

    def __init__(self, text):
        address, rest = text.split('=', 1)
        adapters, _, address = address.rpartition('/')
        self.adapters = adapters.split('+') if adapters else ['hci0']
        self.profile, _, rest = rest.partition('@')
        target, _, name = rest.partition(',')
        host, _, port = target.rpartition(':')
        self.address, self.target = address.upper(), (host, int(port or 0))
        self.name = name or address.replace(':', '-')
        self.hidden, self.hangs, self.stale, self.bond = False, False, False, False
        self.refusals, self.busy, self.broken, self.obeys, self.data = 0, 0, set(), '', None
        self.signal = -60


class Mock(dbus.service.Object):
    """The root object with its object manager, and the events on the air."""

    def __init__(self, bus, mtu, delay, wanted):
        super().__init__(bus, '/')
        self.bus, self.mtu, self.delay = bus, mtu, delay
        self.wanted = {one.address: one for one in wanted}
        self.things, self.scan_refusals, self.temporary_s = {}, 0, 30
        # The second one is reported before the first, because BlueZ reports them in any order.
        self.adapters = [Adapter(self, 'hci1', '00:AA:01:00:00:01'), Adapter(self, 'hci0', '00:AA:01:00:00:00')]
        bus.add_signal_receiver(self.name_changed, 'NameOwnerChanged', 'org.freedesktop.DBus')
        GLib.timeout_add(int(delay * 1000), self.advertise)

    def seen(self, wanted):
        return [device for adapter in self.adapters for device in adapter.devices() if device.wanted is wanted]

    def device(self, address):
        """The device object that BlueZ has; if several, the connected one."""
        devices = sorted(self.seen(self.wanted[address]), key=lambda device: not device.values['Connected'])
        return devices[0] if devices else None

    def advertise(self):
        for adapter in self.adapters:
            adapter.advertise()
        return True

    def name_changed(self, name, old, new):
        if new or not old:
            return
        for adapter in self.adapters:
            adapter.stop_scan(old)
        for thing in self.things.values():
            if isinstance(thing, Characteristic):
                thing.listeners.discard(old)

    @dbus.service.method(MANAGER, out_signature='a{oa{sa{sv}}}')
    def GetManagedObjects(self):
        return {dbus.ObjectPath(path): {thing.interface: thing.public()} for path, thing in self.things.items()}

    @dbus.service.signal(MANAGER, signature='oa{sa{sv}}')
    def InterfacesAdded(self, path, interfaces):
        pass

    @dbus.service.signal(MANAGER, signature='oas')
    def InterfacesRemoved(self, path, interfaces):
        pass


class Switches(dbus.service.Object):
    """The faults that a test can cause."""

    def __init__(self, mock):
        super().__init__(mock.bus, '/mock')
        self.mock = mock

    @dbus.service.method(MOCK, in_signature='s')
    def Drop(self, address):
        self.mock.device(address).cut()

    @dbus.service.method(MOCK, in_signature='b')
    def Power(self, on):
        self.mock.adapters[-1].power(bool(on))

    @dbus.service.method(MOCK, in_signature='b')
    def Adapter(self, there):
        """All unplugged, and plugged in again."""
        for adapter in self.mock.adapters:
            if there:
                self.mock.things[adapter.path] = adapter
                adapter.announce()
            else:
                adapter.unplug()

    @dbus.service.method(MOCK, in_signature='sb')
    def Hide(self, address, hidden):
        """Out of reach, or connected to an app: it no longer advertises."""
        self.mock.wanted[address].hidden = bool(hidden)
        if hidden and self.mock.device(address):
            self.mock.device(address).cut()

    @dbus.service.method(MOCK, in_signature='sb')
    def Hang(self, address, on):
        self.mock.wanted[address].hangs = bool(on)

    @dbus.service.method(MOCK, in_signature='su')
    def RefuseConnects(self, address, count):
        self.mock.wanted[address].refusals = int(count)

    @dbus.service.method(MOCK, in_signature='sb')
    def WantBond(self, address, on):
        self.mock.wanted[address].bond = bool(on)

    @dbus.service.method(MOCK, in_signature='u')
    def RefuseScans(self, count):
        self.mock.scan_refusals = int(count)

    @dbus.service.method(MOCK, in_signature='d')
    def Temporary(self, seconds):
        self.mock.temporary_s = float(seconds)

    @dbus.service.method(MOCK, in_signature='ss')
    def BreakNotify(self, address, characteristic):
        self.mock.wanted[address].broken.add(str(characteristic))

    @dbus.service.method(MOCK, in_signature='sb')
    def Stale(self, address, on):
        self.mock.wanted[address].stale = bool(on)

    @dbus.service.method(MOCK, in_signature='ss')
    def Obey(self, address, kind):
        self.mock.wanted[address].obeys = str(kind)

    @dbus.service.method(MOCK, in_signature='su')
    def Busy(self, address, count):
        self.mock.wanted[address].busy = int(count)

    @dbus.service.method(MOCK, in_signature='say')
    def Advertise(self, address, data):
        self.mock.wanted[address].data = bytes(data)

    @dbus.service.method(MOCK, in_signature='u')
    def Flood(self, count):
        """Sends unrequested notifications."""
        for _ in range(count):
            for adapter in self.mock.adapters:
                for device in adapter.devices():
                    device.change(RSSI=dbus.Int16(-61))

    @dbus.service.method(MOCK, in_signature='us')
    def Crowd(self, count, name):
        """So many unknown devices appear, all with this name, which matches no driver."""
        for n in range(count):
            address = f'66:00:00:{n >> 16 & 255:02X}:{n >> 8 & 255:02X}:{n & 255:02X}'
            device = Device(self.mock.adapters[-1], Wanted(f'{address}=advertiser@:0,{name}'))
            device.values['RSSI'] = dbus.Int16(-40)
            device.announce()

    @dbus.service.method(MOCK, in_signature='say')
    def Notify(self, address, data):
        """The module sends bytes that its BMS has not sent."""
        for characteristic in self.mock.device(address).characteristics:
            characteristic.notify(bytes(data))

    @dbus.service.method(MOCK, in_signature='u')
    def Storm(self, count):
        """BlueZ loses its name on the bus and gets it back, so many times; its objects stay."""
        for _ in range(count):
            self.mock.bus.release_name('org.bluez')
            self.mock.bus.request_name('org.bluez')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--mtu', type=int, default=23)
    parser.add_argument('--delay', type=float, default=0.1)
    parser.add_argument('devices', nargs='*', type=Wanted)
    arguments = parser.parse_args()
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(os.environ['DBUS_SYSTEM_BUS_ADDRESS'])
    mock = Mock(bus, arguments.mtu, arguments.delay, arguments.devices)
    switches = Switches(mock)
    name = dbus.service.BusName('org.bluez', bus, do_not_queue=True)
    say('ready')
    GLib.MainLoop().run()
    del name, switches
    return 0


if __name__ == '__main__':
    sys.exit(main())
