"""The invented car market of the simulated auction, as data: makes, models, trims, sellers, places, colours.

Names are those of real cars so that the rows look like an auction's; every number is made up. Not here: how
a day of sales is drawn (``pipeline/sources/simulated.py``).
"""

from __future__ import annotations

# make: how many are sold, yearly loss of value; trims with their part of the new price;
# models: body, new price in thousands of dollars, how many are sold
MAKES = (
    ("Ford", 16, 0.155, "S .86, SE .97, SEL 1.07, Limited 1.2",
     "Fusion sedan 24 10, Focus hatchback 19 8, Escape suv 26 9, Explorer suv 35 6, Edge suv 31 4, Mustang coupe 28 3"),
    ("Ford", 7, 0.13, "XL .84, XLT 1, Lariat 1.24, King Ranch 1.38",
     "F-150 supercrew 36 8, F-250 crew_cab 44 2"),
    ("Chevrolet", 12, 0.16, "LS .88, LT 1, LTZ 1.19",
     "Malibu sedan 23 7, Impala sedan 28 6, Cruze sedan 19 6, Equinox suv 26 6, Tahoe suv 48 3, Camaro coupe 27 2"),
    ("Chevrolet", 5, 0.13, "WT .82, LS .92, LT 1.02, LTZ 1.25",
     "Silverado crew_cab 37 7, Colorado crew_cab 27 2"),
    ("Nissan", 11, 0.16, "2.5 S .93, 2.5 SV 1.04, 2.5 SL 1.2",
     "Altima sedan 23 9, Rogue suv 24 5, Sentra sedan 18 5"),
    ("Nissan", 3, 0.15, "S .9, SV 1, SL 1.16, Platinum 1.3",
     "Pathfinder suv 32 3, Maxima sedan 32 3, Versa sedan 14 3"),
    ("Toyota", 9, 0.125, "L .88, LE .96, SE 1.02, XLE 1.15",
     "Camry sedan 24 8, Corolla sedan 18 6, Sienna minivan 31 3"),
    ("Toyota", 5, 0.115, "Base .92, SR5 1.02, Limited 1.27",
     "RAV4 suv 25 5, Tacoma crew_cab 29 3, 4Runner suv 35 2"),
    ("Honda", 8, 0.13, "LX .92, EX 1.03, EX-L 1.15, Touring 1.3",
     "Accord sedan 24 8, Civic sedan 19 7, CR-V suv 25 6, Odyssey minivan 32 3, Pilot suv 32 3"),
    ("Dodge", 7, 0.175, "SE .88, SXT .98, Crew 1.12, R/T 1.27",
     "Grand Caravan minivan 25 8, Charger sedan 30 5, Journey suv 25 5, Avenger sedan 22 4, Challenger coupe 31 2"),
    ("Hyundai", 6, 0.165, "GLS .95, SE 1.03, Limited 1.2",
     "Sonata sedan 22 7, Elantra sedan 18 7, Santa Fe suv 27 4"),
    ("Kia", 5, 0.17, "LX .93, EX 1.08, SX 1.26",
     "Optima sedan 22 6, Sorento suv 26 5, Soul wagon 18 5, Forte sedan 17 3"),
    ("Chrysler", 4, 0.18, "Touring .97, Limited 1.14, S 1.1",
     "200 sedan 22 6, 300 sedan 32 3, Town and Country minivan 31 5"),
    ("Jeep", 5, 0.13, "Sport .9, Latitude 1, Laredo 1.04, Limited 1.27",
     "Grand Cherokee suv 35 6, Wrangler suv 27 4, Patriot suv 19 4, Compass suv 20 2"),
    ("BMW", 5, 0.175, "Base .97, i 1, xDrive 1.08, M Sport 1.22",
     "3_Series sedan 38 8, 5_Series sedan 55 4, X5 suv 57 4, X3 suv 42 3, 4_Series convertible 50 1"),
    ("Mercedes-Benz", 4, 0.175, "Base .97, Sport 1.05, 4MATIC 1.12",
     "C-Class sedan 40 7, E-Class sedan 56 5, M-Class suv 52 3, S-Class sedan 95 1, SL-Class convertible 98 1"),
    ("Infiniti", 3, 0.175, "Base .95, Journey 1.02, Sport 1.14",
     "G_Sedan g_sedan 36 6, QX60 suv 44 3, QX56 suv 62 1"),
    ("Volkswagen", 3, 0.17, "S .92, SE 1.03, SEL 1.17",
     "Jetta sedan 20 7, Passat sedan 24 5, Tiguan suv 26 2, Beetle convertible 26 1"),
    ("Lexus", 3, 0.13, "Base .98, Luxury 1.1, F Sport 1.17",
     "RX_350 suv 42 6, ES_350 sedan 38 4, IS_250 sedan 36 3"),
    ("GMC", 3, 0.135, "SL .9, SLE .98, SLT 1.15, Denali 1.36",
     "Sierra crew_cab 38 5, Acadia suv 34 4, Yukon suv 50 2"),
    ("Mazda", 2, 0.16, "i Sport .93, i Touring 1.02, s Grand Touring 1.18",
     "Mazda3 hatchback 19 5, CX-5 suv 25 4, Mazda6 sedan 23 3"),
    ("Lincoln", 2, 0.185, "Base .97, Premiere 1.05, Reserve 1.17",
     "MKZ sedan 36 4, MKX suv 41 3, Navigator suv 60 1"),
    ("Subaru", 2, 0.125, "2.5i .93, 2.5i Premium 1.03, 2.5i Limited 1.17",
     "Outback wagon 27 5, Forester suv 25 4, Impreza wagon 20 3"),
    ("Cadillac", 2, 0.185, "Base .94, Luxury 1.03, Performance 1.15, Premium 1.25",
     "CTS sedan 43 4, SRX suv 41 4, Escalade suv 72 2"),
)  # fmt: skip

BODIES = {
    "sedan": "Sedan", "suv": "SUV", "crew_cab": "Crew Cab", "supercrew": "SuperCrew", "hatchback": "Hatchback",
    "minivan": "Minivan", "coupe": "Coupe", "convertible": "Convertible", "wagon": "Wagon", "g_sedan": "G Sedan",
}  # fmt: skip

# Month by month, in percent: what the season adds to the price of a body (January first).
SEASONS = {
    "Convertible": (-4, -2, 2, 4, 4, 3, 2, 0, -1, -2, -3, -4),
    "SUV": (2, 1, 0, -1, -1, -1, -1, 0, 0, 1, 1, 2),
    "Crew Cab": (1, 1, 1, 0, 0, -1, -1, 0, 0, 0, 0, 0),
}

# kind of seller: how many of them, part of the cars, youngest and oldest usual age, miles a year, condition
SELLER_KINDS = (
    ("rental", 12, 0.22, 0.3, 2.0, 21_000, 3.7,
     ("rent a car", "fleet remarketing", "vehicle exchange", "car rental group")),
    ("lease", 30, 0.34, 1.8, 4.2, 12_500, 3.9,
     ("motor credit", "financial services", "lease trust", "auto leasing", "financial svcs (lease)")),
    ("bank", 33, 0.17, 2.5, 9.0, 14_500, 2.9,
     ("acceptance corporation", "consumer bank", "auto recovery", "credit union", "loan servicing")),
    ("dealer", 75, 0.27, 2.5, 13.0, 12_000, 3.0,
     ("auto sales inc", "motors", "automotive group", "used cars llc", "auto mall")),
)  # fmt: skip
SELLER_NAMES = (
    "lakeside", "north ridge", "bluewater", "capital", "first harbor", "golden plains", "summit", "tri-county",
    "riverbend", "eastgate", "old mill", "pine valley", "silver creek", "union", "westport", "redwood", "southern star",
    "metro", "heartland", "granite", "prairie", "cascade", "liberty", "crossroads", "keystone", "sunbelt",
    "great basin",
)  # fmt: skip

STATES = (
    ("fl", 16), ("pa", 11), ("ca", 11), ("tx", 9), ("ga", 6), ("nj", 6), ("il", 5), ("oh", 4), ("mi", 4), ("tn", 3),
    ("nc", 3), ("mo", 3), ("nv", 2), ("co", 2), ("mn", 2), ("va", 2), ("md", 2), ("in", 1.5), ("ma", 1.5), ("wi", 1.5),
    ("az", 1.5), ("wa", 1), ("ny", 1), ("sc", 0.7), ("la", 0.6), ("on", 0.8), ("qc", 0.4), ("pr", 0.3),
)  # fmt: skip

# colour: how common, and what it does to the price in percent
COLORS = (
    ("black", 21, 1), ("white", 20, 1.5), ("gray", 15, 0.5), ("silver", 15, 0), ("blue", 9, -0.5), ("red", 8, 0),
    ("green", 1.8, -3), ("gold", 1.6, -4), ("beige", 1.5, -3), ("burgundy", 1.5, -1.5), ("brown", 1.3, -2),
    ("orange", 0.4, -1), ("purple", 0.3, -4), ("yellow", 0.2, -1),
)  # fmt: skip
INTERIORS = (
    ("black", 48, 0.5), ("gray", 31, 0), ("beige", 11, -0.5), ("tan", 7, -0.5), ("brown", 1.6, 0), ("red", 0.3, 0),
)  # fmt: skip
