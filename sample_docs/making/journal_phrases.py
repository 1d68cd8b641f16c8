"""What the journal is put together from: people, places, animals, and sentences with gaps."""

CREW = (
    "Anselm Brodie", "Corin Vale", "Maud Sorrel", "Piers Hatherley", "Ragna Holm", "Jory Tamsin", "Ottilie Crane", "Wilf Sandlow", "Enoch Pryce", "Thora Bell", "Silas Merrow", "Nan Culver",
)  # fmt: skip
ISLANDS = (
    "Great Skerrow",
    "Tarn Island",
    "Hollow Skerry",
    "Candle Rock",
    "Little Skerrow",
    "Ember Holm",
    "Widow's Stack",
)
ANIMALS = ("seals", "puffins", "terns", "eider ducks", "razorbills", "oystercatchers")
PLANTED = {
    33: ("goat", "The white goat that follows us was named Admiral by the crew, and answers to it."), 66: ("sextant", "Anselm Brodie mended the sextant with a hairpin and a piece of bone."),
    112: ("chronometer", "We buried the spare chronometer under the cairn at Candle Point, wrapped in oilskin."), 158: ("crate", "The crate fell from the cliff, and 23 lamp chimneys were broken."),
    191: ("anvil", "Maud Sorrel, Piers Hatherley and Ragna Holm climbed the Anvil and left a bottle on its top."), 240: ("oven", "Corin Vale found the old whalers' oven behind the black dunes."),
    305: ("light", "At two in the morning a green light stood over the northern reef for eleven minutes."), 372: ("letter", "The relief boat brought one letter for me, and it was for somebody else."),
}  # fmt: skip
WEATHER = (
    "Clear at first, {sky} by noon, {degrees} degrees at the door.", "Wind from the {wind} all day, {degrees} degrees at noon.", "A {sky} morning; the thermometer stood at {degrees} when I looked.",
    "Rain until {time}, then {sky}.", "The barometer fell while we ate and rose again while we washed up; {degrees} degrees.", "No wind at all, which everyone distrusts; {degrees} degrees.",
    "{sky_up} and {degrees} degrees, with a swell out of the {wind}.", "Sleet from the {wind}, {degrees} degrees, and a short hour of sun that nobody expected.", "Fog on the water, sun on the hill, {degrees} degrees in between.",
    "The sky was {sky} and the sea the colour of {colour}; {degrees} degrees.",
)  # fmt: skip
POOLS = {
    "sky": ("grey", "bright", "low and grey", "white", "streaked", "yellow towards evening", "clear", "ragged"), "sky_up": ("Grey", "Bright", "Overcast", "Hazy", "Clear"),
    "wind": ("north", "north-west", "west", "south-west", "south", "east", "north-east"), "time": ("breakfast", "ten", "noon", "the middle of the afternoon", "dusk"),
    "colour": ("slate", "pewter", "old glass", "wet wool", "ink", "green bottles"), "food": ("pea soup", "salt fish", "porridge", "oatcakes", "dried apples", "barley broth", "mussels", "seabird eggs", "a pudding that did not set"),
    "gear": ("the small tent", "the tide gauge", "the long boat", "the paraffin stove", "the theodolite", "the plant press", "the camera", "the signal mast", "the sledge", "the water barrel", "the rope ladder", "the oar locks", "the lantern", "the sail"),
    "task": ("tarring the boat", "cutting peat", "darning stockings", "copying the tide tables", "drying plants", "mending nets", "sorting bones", "labelling jars", "painting the marks on the rocks", "splitting driftwood", "grinding lenses clean", "sewing a new flag"),
    "find": ("a glass float", "a carved spoon", "a boot with a name in it", "the rib of a whale", "a bottle without a message", "a rusted anchor", "three clay pipes", "a plank with the letters of half a ship's name", "a bird's ring from another country", "a millstone"),
    "plant": ("scurvy grass", "sea campion", "thrift", "a saxifrage that I did not know", "roseroot", "dwarf willow", "an orchid no taller than a match", "silverweed"), "place": ("the north landing", "the freshwater pool", "the black dunes", "the old wall", "the split rock", "the raised beach", "the gully", "the lookout", "the kelp bank", "the seal cave", "the boulder field"),
    "mood": ("in good spirits", "tired and quarrelsome", "quiet", "merry without cause", "homesick", "busy and content", "stiff in every joint"), "song": ("a hymn", "the song about the miller", "a sea song with too many verses", "something in a language that nobody else speaks", "a dance tune"),
    "ill": ("a swollen hand", "a cough", "toothache", "a sprained ankle", "snow-blind eyes", "a burned thumb", "a fever that passed by morning"), "book": ("the almanac", "a novel without its last chapter", "the book of tides", "an old sermon", "a grammar", "the cookery book"),
    "bird": ("a skua", "a pair of divers", "a snowy owl", "a storm petrel", "a raven", "a lost pigeon", "a gyrfalcon"), "worse": ("worse", "better", "no different"),
}  # fmt: skip
EVERY_SEASON = (
    "{who} was up at {hour} and had the fire going before anyone could take the credit.", "{who} and I carried {gear} to {place} and back again, since it was not needed there.", "We spent the morning {task}.", "{who} spent the whole day {task} and would not be helped.",
    "For supper there was {food}, and afterwards {food}.", "{who} cooked: {food} again.", "Found {find} near {place}.", "{who} brought {find} from {place} and gave it the best place on the shelf.",
    "At {place} the ground is hollow and sounds like a drum under the boots.", "{who} swears that {place} has moved since last week.", "We are all {mood}.", "{who} is {mood}, and it spreads.", "{who} has {ill}.", "{who}'s {ill_short} is {worse} today.",
    "In the evening {who} sang {song}, and {who} beat time on the kettle.", "{who} read aloud from {book}, doing all the voices.", "Saw {bird} over {place}.", "{bird_line}", "The tide came {n} inches higher than the tables promise.",
    "The boat took {n} buckets of water on the way to {place}, and {who} counted every one aloud.", "We lost an hour looking for {gear}, which {who} had been sitting on.", "{gear_up} is broken again.", "{who} repaired {gear} with wire, twine and bad language.",
    "Between two showers we measured the base line at {place} twice and got two answers.", "The second measurement differs from the first by {n} inches, and we shall have to do it a third time.", "{who} thinks that the error is in the chain; I think that it is in the cold.",
    "There is new driftwood at {place}, enough for {n} days of cooking.", "We have paraffin for {n} evenings if nobody reads in bed.", "{who} has begun to carve a chess set, and has finished {n} pawns too many.",
    "I slept badly because the rigging of the tent hummed on one note.", "I slept well and dreamed of trees.", "{who} talked in the night about {book}.", "The sea was too high for the boat, and the boat too heavy for our patience.", "No landing was possible at {place}.",
    "{who} rowed round to {place} and reports that the seals there have no fear at all.", "We built a mark of {n} stones at {place}.", "The mark at {place} has been knocked over by the wind or by something with a sense of humour.", "{who} caught {n} fish before breakfast.",
    "Nobody caught anything.", "I wrote {n} labels and broke one jar.", "A jar of spirit leaked over the labels, so that I must trust my memory for {n} of them.", "The plates from {place} came out fogged.", "{who} took a photograph of us all; we looked like a shipwreck.",
    "The path to {place} is worn already, as if people had lived here.", "There are traces of a wall at {place}, three courses high and very old.", "{who} says that the wall is a sheepfold; {who} says that it is a grave.",
    "We argued about it until the soup was cold.", "Everyone washed, for it is Sunday or should be.", "{who} cut everybody's hair, with mixed results.", "Our clock and the ship's clock differ by {n} seconds; we believe the ship's.", "I walked alone to {place} and was glad of it.",
    "From the lookout one can see {n} rocks at low water, and only a few of them are on the chart.", "{who} corrected the chart in red ink.", "The reef north of {island} breaks even in calm weather.", "A sail was seen far out to the {wind}, which did not turn.", "Smoke on the horizon for {n} minutes, then nothing.",
    "The dogs dug at {place} and brought home {find}.", "The dogs are fat and lazy, and are the only ones.", "{who} fell into the stream at {place} and was cheered.", "It is remarkable how much of a day is spent keeping dry.", "Stores were moved to the upper ledge, away from the spray.",
    "A box of candles was eaten by rats, whom we had not known to be here.", "{who} made a trap for the rats and caught {who}'s thumb in it.", "The kettle has a hole; {who} closed it with a rivet from {gear}.", "The bread is better since {who} stopped improving it.", "We opened the last jar of honey and agreed not to speak of it.",
    "{who} taught {who} to splice, and both are proud.", "We practised with the signal flags and said more than was wise.",
    "The colony at {place} was empty this morning, as if by order.",
    "The moss near {place} holds a footprint for {n} days; we have made sure of it.", "{who} tested the water of the pool and finds it good, whatever it tastes like.", "My hands smell of {food} and spirits of wine.", "{who} asked me what all the counting is for; I said that somebody will want to know what was here.",
    "I have begun a list of the lichens and am at {n}.", "{who} has a theory about the raised beach, and has drawn it on the lid of a biscuit tin.", "The theory needs the sea to have been {n} feet higher, which nobody here disputes on a night like this.", "We toasted absent friends in tea.", "{who} won at draughts {n} times running and has been forbidden to play.",
    "The rope at {place} is frayed, and we cut off {n} feet of it.", "Tomorrow, if the wind allows, we try {place} again.", "Nothing else of note.", "So ends a day that did not do what it was told.", "The lamp is smoking, and I close.", "We turned in early.", "{who} has the first watch.",
    "The moon rose behind {island} like something being lifted with care.", "{who} heard a steam whistle; nobody else did.", "There was a letter bag to be packed, in case.",
)  # fmt: skip
WINTER = (
    "The stream at {place} is frozen at the edges.",
    "The snow at {place} lies {n} inches deep.",
    "The ice in the bay cracked with a sound like a cart on cobbles.",
    "The ink froze, so this is in pencil.",
    "Northern lights, pale, over in a quarter of an hour.",
    "The stars were out for the first time in {n} days, and {who} took the latitude.",
    "We dug out the door before breakfast, {who} from inside and the rest of us from outside.",
    "The milk of the goat came in lumps.",
    "{who} walked across the frozen pool, to the horror of {who}.",
    "The sun showed itself for {n} minutes, and we all stopped work to look.",
    "Frost on the inside of the canvas, in the shape of ferns.",
    "The stove burned all night and was thanked for it.",
)
SUMMER = (
    "A warm wind, and suddenly flies.",
    "The eggs at {place} have hatched, all within a day of one another.",
    "Young birds everywhere, each of them sure of itself.",
    "I weighed {n} chicks, and was bitten by most of them.",
    "There was thunder, which is rare here, and {who} counted the seconds.",
    "{plant_line}",
    "I drew {plant} until my fingers would not bend.",
    "On the {wind} side of {island} the cliffs are white with birds and loud as a market.",
    "It was light enough at midnight to read {book}.",
    "{who} swam at {place} and came out blue and proud.",
    "The pool is low, and we carry water from {place}.",
    "{who} wears a veil against the midges and looks like a bride.",
)
POOLS["plant_line"] = tuple(
    f"There is {plant} in every crack of {{place}}." for plant in POOLS["plant"]
) + tuple(
    f"Collected {plant} at {{place}}, {{n}} specimens, two of them worth keeping." for plant in POOLS["plant"]
)
POOLS["bird_line"] = (
    *(
        f"{bird[0].upper()}{bird[1:]} came to look at us and left unimpressed."
        for bird in POOLS["bird"]
        if "pair" not in bird
    ),
    "The ravens have learned what the dinner bell means.",
)
POOLS["gear_up"] = tuple(gear[0].upper() + gear[1:] for gear in POOLS["gear"])
POOLS["ill_short"] = ("cough", "tooth", "ankle", "thumb", "back", "left knee", "temper")
