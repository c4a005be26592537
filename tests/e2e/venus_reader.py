# SPDX-License-Identifier: MIT
"""A reader of the messages with `layout = venus` that behaves like venus-os_dbus-mqtt-battery (1.0.12): its paths,
that a missing key keeps its value, and the input that breaks it. Written from its behaviour; no code was copied."""

import json

ALARMS = ("LowVoltage HighVoltage LowSoc HighChargeCurrent HighDischargeCurrent HighCurrent CellImbalance HighChargeTemperature "
          "LowChargeTemperature LowCellVoltage LowTemperature HighTemperature FuseBlown BmsCable HighCellVoltage "
          "HighInternalTemperature InternalFailure StateOfHealth").split()
PATHS = {"InstalledCapacity", "ConsumedAmphours", "Capacity", "Soc", "Soh", "TimeToGo", "Balancing", "SystemSwitch", "State", "SocBms",
         *(f"Dc/0/{name}" for name in ("Power", "Voltage", "Current", "Temperature", "MidVoltage", "MidVoltageDeviation")),
         *(f"Alarms/{name}" for name in ALARMS),
         *(f"Info/{name}" for name in ("ChargeRequest", "MaxChargeVoltage", "MaxChargeCurrent", "MaxDischargeCurrent", "ChargeLimitation",
                                       "DischargeLimitation", "ChargeMode", "BatteryLowVoltage", "MaxChargeCellVoltage")),
         *(f"History/{name}" for name in ("ChargeCycles", "MinimumVoltage", "MaximumVoltage", "TotalAhDrawn", "ChargedEnergy",
                                          "DischargedEnergy")),
         *(f"System/{name}" for name in ("MinVoltageCellId", "MinCellVoltage", "MaxVoltageCellId", "MaxCellVoltage", "MinTemperatureCellId",
                                         "MinCellTemperature", "MaxTemperatureCellId", "MaxCellTemperature", "MOSTemperature",
                                         "NrOfCellsPerBattery", "NrOfModulesOnline", "NrOfModulesOffline", "NrOfModulesBlockingCharge",
                                         "NrOfModulesBlockingDischarge", *(f"Temperature{n}" for n in range(1, 5)))),
         *(f"Voltages/{name}" for name in ("Sum", "Diff", *(f"Cell{n}" for n in range(1, 25)))),
         *(f"Balances/Cell{n}" for n in range(1, 25)),
         *(f"Io/{name}" for name in ("AllowToBalance", "AllowToCharge", "AllowToDischarge", "AllowToHeat", "ExternalRelay"))}
TEXTS = {"Info/ChargeLimitation", "Info/DischargeLimitation", "Info/ChargeMode", "System/MinVoltageCellId", "System/MaxVoltageCellId",
         "System/MinTemperatureCellId", "System/MaxTemperatureCellId"}
NEEDED = ("Dc/0/Power", "Dc/0/Voltage", "Soc")


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Battery:
    """What a GX shows after the messages so far."""

    def __init__(self):
        self.values = {path: None for path in PATHS}
        self.messages = 0

    def take(self, payload):
        message = json.loads(payload, parse_constant=lambda name: 1 / 0)  # NaN is not valid JSON
        assert "Dc" in message and "Soc" in message and {"Power", "Voltage"} <= set(message["Dc"]), message
        flat = {}
        for key, value in message.items():
            if isinstance(value, dict):
                flat.update({f"{'Dc/0' if key == 'Dc' else key}/{name}": inner for name, inner in value.items()})
            else:
                flat[key] = value
        assert set(flat) <= PATHS, set(flat) - PATHS
        for path, value in flat.items():
            assert value is None or (isinstance(value, str) if path in TEXTS else is_number(value)), (path, value)
        # It formats these for its log and, if one is not a number, never updates anything again.
        assert all(is_number(flat[path]) for path in NEEDED), flat
        # It computes missing values here with min() and sum(), which fail if a cell is null.
        if any(value is None for value in message.get("Voltages", {}).values()):
            assert {"Sum", "Diff"} <= set(message["Voltages"]), message
            assert {"MinVoltageCellId", "MinCellVoltage", "MaxVoltageCellId", "MaxCellVoltage"} <= set(message["System"]), message
        assert "Current" in message["Dc"], message
        self.values.update(flat)
        self.messages += 1
