"""What kind of answer a question asks for, and the rest of its words: "could you tell me how to", "what's the way to" and
"how do I" ask for one kind. Knows the frames of English questions, not what they are about.

All patterns are anchored at the start of a line of words (`wording/words.py`) and have no nested repetition.
"""

import re
from typing import NamedTuple

_I = r"(?:i|you|we|one|someone|somebody|people|a person|anyone|anybody|users|a user)"
_GOOD = (
    r"(?:best|right|proper|correct|good|great|recommended|ideal|most effective|effective|usual|typical|standard|common)"
)
_WAYS = r"(?:ways?|methods?|steps?|procedures?|process|techniques?|approach|approaches|instructions?|directions|guide|tutorial|guidelines|strategy|strategies|tips?|advice|trick|tricks)"
_TO = r"(?:to|for|of|on how to|on|in order to|involved in|required to|needed to|required for|necessary to|used to|used for|one can|i can|you can|how to)"
_LEAD = re.compile(
    "|".join(
        (
            r"(?:hi|hello|hey|greetings)(?: there| everyone| all)?",
            r"(?:please|kindly|so|okay|well|now|quick question|just wondering|just curious|sorry|excuse me|thanks)",
            r"(?:can|could|would|will) (?:you|someone|somebody|anyone|anybody)(?: please| kindly| possibly| maybe| quickly)?(?= \w+)",
            r"(?:would|do) you mind",
            r"are you able to",
            r"may i ask(?: you)?|can i ask(?: you)?|might i ask",
            r"(?:i (?:would|will|should) (?:really )?(?:like|love|appreciate)|i (?:want|need|wish|have|am trying|am looking|am hoping)) to (?:know|learn|understand|find out|ask|see|figure out|hear)(?: more)?",
            r"i (?:am|was) (?:just )?(?:wondering|curious)(?: about)?|wondering",
            r"i (?:do not|don t) (?:know|understand)",
            r"(?:do you|does anyone|does anybody|does someone) (?:happen to )?know",
            r"(?:any|have you any|do you have any) (?:idea|ideas|clue)(?: on| about| of)?",
            r"(?:help me |help us )(?:to )?(?:know|learn|understand|find out|figure out|see)",
            r"(?:tell|show|teach|inform|remind) (?:me|us)(?: please)?(?= (?:how|what|why|when|where|who|which|whether|if))",
            r"(?:explain|describe|clarify|specify|say|state|identify|name|outline|detail|list|give|share|discuss|illustrate|demonstrate|elaborate on|go over|break down|show|teach|telling me|explaining|showing me)(?: to me| to us| please)?(?= (?:how|what|why|when|where|who|which|whether|if))",
            r"i (?:can not|could not|do not|am not able to|cant) (?:figure out|work out|understand|find out|know|see)(?= (?:how|why|what|where|when) )",
            r"let me know|looking to (?:know|learn|understand|find out)|want to (?:know|learn about|understand)|need to (?:know|find out|understand)",
            r"i would (?:really )?appreciate(?: knowing| it if you could explain| an explanation of)?",
            r"(?:got|have) a (?:quick )?question(?: about)?",
            r"quick question|question",
            r"i have a question(?: about)?",
            r"in your opinion",
            r"for me",
        )
    )
)
_TRAIL = re.compile(
    r"(?: (?:please|thanks|thank you|thx|for me|to me|to us|kindly|in advance|if possible|if you can|for us|exactly))+$"
)


class Framed(NamedTuple):
    """The kind of answer, and the words left."""

    ask: str
    rest: str


def _compiled(*rules: tuple[str, str, str]) -> tuple[tuple[re.Pattern[str], str, str], ...]:
    return tuple((re.compile(rf"(?:{pattern})(?= |$)"), ask, words) for pattern, ask, words in rules)  # whole words


_RULES = _compiled(
    # the way to do a thing
    (
        rf"how (?:do|does|can|could|should|would|might|may|must|shall|did) {_I}(?: be able to| best| go about)?",
        "how",
        "",
    ),
    (rf"how {_I} (?:can|could|should|do|would|might|may|must|go about|am supposed to)", "how", ""),
    (r"how (?:to go about|to|would i|about|am i supposed to|are you supposed to)", "how", ""),
    (
        r"(?:what is |give me |share |show me |do you have |tell me |i need )?(?:a |the |some |any )?(?:good |best |simple |easy )?recipes? (?:for|of|to make)",
        "how",
        "make",
    ),
    (r"(?:give|write|provide|make)(?: me| us)? (?:a |the )?(?:summary|synopsis) of", "", "summarize"),
    (
        rf"(?:what|which) (?:is|are|would be|s) (?:the |a |an |some |any )?(?:{_GOOD} )?{_WAYS}(?: {_I}(?: can| could| should| need to| have to| must)?(?: take| follow| use| do)?)? {_TO}",
        "how",
        "",
    ),
    (
        rf"what {_WAYS} (?:can|could|should|do|must) {_I} (?:take|use|follow|do)(?: in order)? to",
        "how",
        "",
    ),
    (
        rf"(?:(?:give|show|list|provide|offer|share|tell|outline|describe|explain|suggest|walk)(?: me| us)?(?: through)? |i need |looking for )?(?:the |a |an |some |any |your )?(?:{_GOOD} )?{_WAYS} {_TO}",
        "how",
        "",
    ),
    (
        rf"(?:is|are) there (?:a |an |any |some )?(?:{_GOOD} |easy |simple )?{_WAYS} (?:for me to|for us to|i can|to|of|for)",
        "how",
        "",
    ),
    (
        rf"(?:in what|what) (?:ways?|manner) (?:do|can|could|should|would|does|might) {_I}|by what means (?:do|can|could|should) {_I}|how one (?:can|could|goes about)|what (?:would|should|can|do) {_I} do to",
        "how",
        "",
    ),
    (
        r"what (?:is|are) (?:involved in|my options for|the key to|the secret to|needed for|required for)|what (?:goes into|is a good approach to)",
        "how",
        "",
    ),
    (
        rf"(?:i am |i was |we are )?(?:trying|looking|hoping|planning|wanting|needing|struggling) (?:to|for (?:a |the |some )?{_WAYS} (?:to|for|of))|(?:i )?(?:need|want|wish|would like) to",
        "how",
        "",
    ),
    (r"(?:i am )?(?:having )?(?:trouble|difficulty|problems)(?: with)?(?= \w+ing )", "how", ""),
    (
        rf"(?:any|some|your|need|want|got any|have any|do you have any|do you have some|are there any) (?:good |useful |helpful )?{_WAYS} (?:on|for|to|about|on how to)",
        "how",
        "",
    ),
    (
        r"(?:give|show|write|provide|share)(?: me| us)? (?:a |an |some )?(?:rundown|overview|summary|walkthrough|description) of (?:how to|the steps to)",
        "how",
        "",
    ),
    (
        r"(?:i|we) (?:want|need|would like|am trying|are trying|am looking|wish|have|would love|tried|am struggling) to",
        "how",
        "",
    ),
    (
        r"(?:i need |i want |need )?(?:some )?(?:help|assistance|guidance|assist)(?: me| us)?(?: with| to| in| on| through)?(?: how to)?",
        "how",
        "",
    ),
    (r"(?:teach|show|tell|instruct) me (?:how )?to", "how", ""),
    (
        r"(?:guide|walk|take|talk) me (?:through|on|to|in)(?: the process of| the steps of| the steps to| how to)?",
        "how",
        "",
    ),
    (
        rf"what (?:do|should|must|can|could|would|shall) {_I} (?:need to |have to )?do (?:in order |if i want |if you want )?to",
        "how",
        "",
    ),
    (
        r"what does it take to|what is (?:required|needed|necessary) to|what has to be done to|what must be done to|what should be done to",
        "how",
        "",
    ),
    (r"where can i learn (?:how )?to", "how", ""),
    (r"explain (?:the process|the mechanism|the working|the workings) (?:of|behind)", "works how", ""),
    (r"(?:what is )?(?:the )?(?:process|mechanism) (?:of|behind|by which)", "works how", ""),
    # a reason
    (r"(?:what (?:is|was) )?the (?:main )?reason(?: why| that| for| behind)?", "why", ""),
    (r"why (?:is|are|was|were) it that|how come|for what (?:reason|reasons|purpose)|why", "why", ""),
    (
        r"(?:what (?:is|are|was|were) |(?:explain|tell me|give me|list|describe|name) )?(?:the |some |a )?(?:main |possible |usual |common |typical )?(?:reason|reasons|cause|causes)(?: (?:for|why|behind|that|of)|(?= (?:the|my|it|cats|dogs|people) ))",
        "why",
        "",
    ),
    (
        r"what (?:causes|caused|cause|makes|made|can cause|could cause|brings about|led to|leads to|triggers|triggered|is causing)|what (?:is|are) the (?:cause|causes)",
        "why",
        "",
    ),
    # yes or no
    (
        r"(?:is it|would it be) (?:a good idea|advisable|recommended|wise|worth it|worthwhile|better|best)(?: for me)?(?: to)?",
        "?",
        "should i",
    ),
    (
        r"(?:do|does) (?:i|you|we|one|people) (?:(?:really )?(?:need|have) to(?: have| get)?|need|require)|(?:am|are) (?:i|you|we) required to|is it (?:necessary|required|mandatory|compulsory|needed|essential|obligatory)(?: for me| for us)? to",
        "?",
        "must i",
    ),
    (
        r"(?:is it|would it be) (?:possible|feasible)(?: for me| for us| for one)? to|(?:am|are) (?:i|you|we) (?:able|allowed|permitted) to",
        "?",
        "can i",
    ),
    (r"(?:whether|if)(?= )", "?", ""),
    (r"(?:is|are|am|was|were|do|does|did|has|have|had|will|would|can|could|should|may|might|must|shall)", "?", "="),
    # a time, a place, a person
    (
        r"(?:at |on |in )?(?:what|which) (?:time|date|day|point|year)(?= (?:is|are|was|were|do|does|did|will|can|should) )|when(?: exactly| precisely)?|(?:what is |what was )?the (?:date|time) (?:of|when|that)",
        "when",
        "",
    ),
    (
        r"(?:in |at )?(?:what|which) (?:place|location|spot)|whereabouts|where|(?:what is )?the location of|(?:what is )?the place where",
        "where",
        "",
    ),
    (
        r"(?:which|what) (?:person|people|individual|writer|author|scientist|inventor|artist|painter|president|player|singer|actor)(?= (?!is |are |was |were |do |does |did |in |of )\w)|by whom|whom|(?:what is |what was |tell me |give me )?the name of the (?:person|man|woman|one) (?:who|that)|the (?:person|one) who|who",
        "who",
        "",
    ),
    (r"whose", "whose", ""),
    # a quantity
    (r"what (?:amount|quantity) of", "how much", ""),
    (r"what number of", "how many", ""),
    (
        r"(?:recommend|suggest)(?: me)?(?: some| a| an| any)?|(?:any|some) (?:recommendations|suggestions|ideas) for",
        "what",
        "",
    ),
    (r"how many (?:people|inhabitants) (?:live|are|are there|are living|reside|lives) in", "what", "population of"),
    (r"how (?:big|large) is the population of", "what", "population of"),
    (r"(?:how many|(?:what is |tell me )?the (?:total )?number of)", "how many", ""),
    (r"how much (?:does|do|did|is|are|was|were|will|would)(?= .* (?:cost|costs)$)", "what", "price of"),
    (r"how much (?:is|are)(?= \d)|(?:calculate|compute|work out|evaluate|solve|find)(?= \d)", "what", ""),
    (r"how much (?:is|are|for)", "what", "price of"),
    (r"how (?:expensive|costly|pricey) (?:is|are)", "what", "price of"),
    (r"how much (?:does|do|will|would) it cost to", "what", "price to"),
    (r"how much (?:do|should|can) (?:i|you|we) (?:pay|have to pay|need to pay) (?:for|to)", "what", "price to"),
    (r"how much", "how much", ""),
    (
        r"how long (?:does|do|did|will|would|should|is|are|was|were|can) it (?:usually |typically |normally )?take(?: for me| me)?(?: to)?",
        "what",
        "duration",
    ),
    (
        r"(?:how much time|what amount of time) (?:does|do|did|will|would|should|is) (?:it take|needed|required)(?: to)?",
        "what",
        "duration",
    ),
    (
        r"how(?= (?:often|far|old|tall|deep|long|big|large|heavy|fast|high|hot|cold|wide|hard|easy|safe|good|well|soon|early|late|quickly|accurate|reliable|common|frequently|wealthy|rich|popular|strong|thick|loud|bright) )",
        "what",
        "how_",
    ),
    # the way a thing is or works
    (r"how", "how", ""),
    # what a thing is
    (r"why (?:is|are)(?= .* good for (?:you|us|me|people|health|your health)$)", "what", "benefit of"),
    (
        r"what (?:do you mean by|is meant by|do we mean by|do they mean by|does it mean to)(?: the (?:term|word|concept|phrase))?",
        "what",
        "",
    ),
    (
        r"(?:what|which) (?:is|are|was|were) (?:the |a |an )?(?:meaning|definition|concept|idea|notion|term|essence|nature)(?: of| behind)?(?: the (?:term|word|concept|phrase))?",
        "what",
        "",
    ),
    (r"(?:explain|describe)(?: to me)?(?= (?!what|the|a|an)\w)(?: how| the way)?", "what works", ""),
    (
        r"(?:explain|describe|define|discuss|clarify|outline|elaborate on|give|provide|list|name|state|tell|show|share|identify|mention|enumerate|specify|introduce|teach|inform|telling|explaining|talk|giving|speak)(?: me| us)?(?: to me| to us)?(?: more| a bit| a little)?(?: about| of)?"
        r"(?: (?:a|an|the|some|your|any))?(?: (?:meaning|definition|concept|idea|notion|term|explanation|description|overview|introduction|information|details|info|basics|nature)(?: of| about| on| behind| to))?(?: the (?:term|word|concept|phrase))?(?: (?:what|which)(?: is| are)?)?",
        "what",
        "",
    ),
    (
        r"(?:i need |i want |looking for )?(?:a |an |the |some )?(?:meaning|definition|explanation|description|overview|information|info|details|concept|idea)(?: of| about| on| behind)",
        "what",
        "",
    ),
    (
        r"(?:what exactly|what|which)(?: exactly)?(?: (?:kinds?|types?|sorts?) of(?= \w+ (?:is|are|do|does|can|should|would) ))?",
        "what",
        "",
    ),
    (r"(?:on|in|at) (?:what|which)", "what", ""),
)
_GOOD_FOR = r"(?: for (?:you|us|me|people|health|your health|one))?$"
_SAFE = r"(safe|legal|illegal|dangerous|healthy|unhealthy|bad|okay|harmful|worth|hard|difficult|easy|necessary)"
_FAST = {
    "fastest": "fast",
    "quickest": "quick",
    "easiest": "easy",
    "cheapest": "cheap",
    "safest": "safe",
    "simplest": "simple",
}
_DONE = r"(\w+ed|sold|bought|made|done|sent|paid|found|seen|built|kept|taken|given|set|put|read|written)"
_AUX = "(?:do|does|did|can|could|should|will|would|is|are|was|were)"
_TURNED: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), ask, words)
    for pattern, ask, words in (
        (rf"why (?:is|are) (.+) (?:good|beneficial|healthy|useful|great){_GOOD_FOR}", "what", r"benefit of \1"),
        (r"how (?:do|does|can) (.+) (?:benefit|help)(?: (?:you|us|me|people))?$", "what", r"benefit of \1"),
        (r"what (?:does|do|did) (.+) (?:mean|signify|refer to|denote|entail)$", "what", r"\1"),
        (r"how (?:does|do) (.+) (?:work|function|operate)$", "works how", r"\1"),
        (r"how (?!to )(.+) (?:works?|functions?|operates?)$", "works how", r"\1"),
        (
            r"how (?:is|are|do|does) (.+) (?:differ|different|differs)(?: from (.+))?$",
            "what",
            r"difference between \1 and \2",
        ),
        (r"how (?:is|are) (.+) (?:made|prepared|produced|created)$", "how", r"make \1"),
        (
            r"how (?:can|could|should|may|must|do|does|is|are) (?!i |you |we |one )(.+?) (?:be|get) (\w+ed|done|made|set|put|built)\b ?(.*)$",
            "how",
            r"\2 \1 \3",
        ),
        (
            rf"(?:what|which) (.+?) {_AUX} (.+) (?:have|offer|provide|give|bring|possess|get|produce|include|come with)$",
            "what",
            r"\1 of \2",
        ),
        (r"(?:what|which) (.+?) (?:are|is) there (?:for|of|in|on|to) (.+)$", "what", r"\1 of \2"),
        (
            r"(?:what|which)(?: (?:of the|one))? (.+?) (?:is|are) (?:the )?((?:most |least )\w+|\w+est)(?: one)?( (?:in|on|of) .+)?$",
            "what",
            r"\2 \1\3",
        ),
        (r"how (?:big|large|high) (?:is|are) (.+) 's (\w+)$", "what", r"\2 of \1"),
        (rf"(?:is|are) (?!it )(.+) {_SAFE} to (\w+)$", "?", r"\2 \3 \1"),
        (rf"is it {_SAFE} to (.+)$", "?", r"\1 \2"),
        (rf"is (\w+ing .+) {_SAFE}$", "?", r"\2 \1"),
        (
            r"(?:is|are) (?:a |an |the )?(.+) (?:required|needed|necessary|mandatory|compulsory)(?: (to|for) (.+))?$",
            "?",
            r"must i \1 \2 \3",
        ),
        (
            rf"(?:what is |whats |tell me |show me )?(?:the |a |an )?(\w+est|fast|quick|easy|simple|cheap|safe) {_WAYS} (?:to|for|of) (.+)$",
            "how",
            r"\2 \1",
        ),
        (r"how (?:do|would|can|to) (?:(?:you|i|we|one) )?say (.+) in (\w+)$", "", r"translate \1 to \2"),
        (r"how (?:is|are|was|were) (.+?) (\w+ed|made|built|done|grown|seen) by (.+)$", "how", r"\3 \2 \1"),
        (r"(?:who|whom) (?:was|were|is|are) (.+) (\w+ed|\w+en|made|sung|built|found|led|won) by$", "who", r"\2 \1"),
        (r"(?:what is |tell me |give me )?the formula (?:for|to) (\w+ing .+)$", "how", r"\1"),
        (r"(?:what is |tell me |give me )?the formula (?:for|to) (.+)$", "how", r"calculate \1"),
        (r"(?:what are )?the requirements (?:for|to) (becom\w+ .+)$", "how", r"\1"),
        (
            r"(?:what is |tell me about )?(?:your|the) (\w+) (?:process|procedure)(?: (?:for|of) (.+))?$",
            "how",
            r"\1 \2",
        ),
        (r"how (?:is|are|was|will) the (weather|food|traffic|climate)\b(.*)$", "what", r"\1\2"),
        (r"(?:what is |whats )?the (weather|food|traffic|climate) (?:be )?like\b(.*)$", "what", r"\1\2"),
        (r"is it true(?: that)? (.+)$", "?", r"\1"),
        (r"what (?:helps|can help|would help)(?: (?:to|with|against|for|me))? (.+)$", "how", r"\1"),
        (
            r"where (?:can|do|could|should) (?:i|you|we|one) (change|switch|update|edit|download|find|view|see|track|manage|learn|cancel|reset|delete|enable|disable|set|turn|check|access) (.+)$",
            "where how",
            r"\1 \2",
        ),
        (r"how (?:can|do|could|should) (?:i|you|we|one) (find|see|view|access) (.+)$", "where how", r"\1 \2"),
        (r"how (?:would|do|does) (?:you|one) (?:define|describe|explain) (.+)$", "what", r"\1"),
        (r"(?:is|are|am) (.+) (?:able|allowed|permitted) to (.+)$", "?", r"can \1 \2"),
        (
            rf"(?:what|when) (?:is|are|would be) (?:a |the |some )?{_GOOD} (?:time|moment|season|times)(?: of (?:the )?(?:year|day))? (?:to|for) (.+)$",
            "when",
            r"\1",
        ),
        (
            r"(.+) (?:was|were|is|are) (\w+ed|\w+en|made|built|found|sung) by (?:whom|who|which \w+|what \w+)$",
            "who",
            r"\2 \1",
        ),
        (
            r"by (?:whom|which \w+|what person) (?:was|were|is|are) (.+) (\w+ed|\w+en|made|built|found|sung)$",
            "who",
            r"\2 \1",
        ),
        (r"is (\w+ing .+) (?:possible|allowed|permitted)$", "?", r"can i \1"),
        (r"do you (?:allow|permit) (.+)$", "?", r"can i \1"),
        (rf"(can|could|should|must|may) (?!i |you |we |one )(.+?) be {_DONE}( .+)?$", "?", r"\1 i \3 \2 \4"),
        (rf"where (?:can|could|should) (?!i |you |we |one )(.+?) be {_DONE}( .+)?$", "where", r"\2 \1 \3"),
        (r"how (?:long|much time) (?:does|do|did|will|would|is) (?!it )(.+?) take$", "what", r"duration of \1"),
        (r"how much (?:do|does|will|would) (?:you|they|it) charge for (.+)$", "what", r"price of \1"),
        (r"how much (?:do|should|must|would) (?:i|you|we) (?:have to |need to )?pay for (.+)$", "what", r"price of \1"),
        (r"how much (?:does|do|did|will|would) (?!it )(.+?) costs?(?: (?:me|you|us))?$", "what", r"price of \1"),
        (r"what number of (.+)$", "how many", r"\1"),
        (r"what amount of (.+)$", "how much", r"\1"),
        (
            r"what (?:do|does) (?:you|we|they|people|one|it) mean by(?: the (?:term|word|concept|phrase))? (.+)$",
            "what",
            r"\1",
        ),
        (
            rf"(?:what|which) {_WAYS} (?:is|are) (?:needed|required|used|necessary|recommended|involved) (?:to|for|in) (.+)$",
            "how",
            r"\1",
        ),
        (
            r"(?:what is |what was |tell me |give me )?the name of the (?:person|man|woman|one) (?:who|that) (.+)$",
            "who",
            r"\1",
        ),
        (r"(?:what is |what was |tell me |give me )?the name of (.+)$", "what who", r"\1"),
        (r"(?:name|identify) (?!\w+ (?:kinds?|types?|ways?) )(.+)$", "what who", r"\1"),
        (r"(?:which|what) person (?:is|was) (.+)$", "who", r"\1"),
        (
            r"(?:what is |what was |tell me |give me )?the (?:exact )?(?:date|year|day) (?:when |that |in which |on which )?(.+ (?:was|were|did|happened|is|will) .+)$",
            "when",
            r"\1",
        ),
        (r"how is (.+) played$", "how", r"play \1"),
        (r"(from|to|with|by|for) (?:what|which) (?!reason|purpose)(.+)$", "what", r"\1 \2"),
        (r"(?!what|which|how|why|who|where|when)(.+) recipe$", "how", r"make \1"),
        (
            r"(?!what|which|how|why|who|where|when|is |are |do |does |can |should )(.+) (?:steps|instructions|guide|tutorial|tips|how to|how|how do i do that|how do i do it|procedure|walkthrough)$",
            "how",
            r"\1",
        ),
    )
)
_ENDS = re.compile(r"(.+) (?:definition|meaning|explained|explanation)$")
_LEFT = re.compile(r" (?:located|situated|found|called|considered|defined as|all about)$")
_HAPPENS = re.compile(r" (?:happen|happens|happened|occur|occurs|occurred|exist|exists|take place|took place)$")
_MOST = re.compile(r"(?:most|least|\w+est) ")
_OF_ALL = re.compile(
    r" (?:in the (?:whole |entire )?world|on (?:planet )?earth|on the planet|worldwide|of all time|in existence)$"
)


def framed(line: str) -> Framed:
    """The frame of a question given as a line of plain words, and the words it leaves."""
    line = _TRAIL.sub("", line)
    for _ in range(6):
        lead = _LEAD.match(line)
        if lead is None or line[lead.end() : lead.end() + 1] != " ":
            break
        line = line[lead.end() + 1 :]
    line = line.replace(" 's ", " ", 1) if line.startswith("the world 's ") else line
    if _MOST.search(line):
        line = re.sub(r"\bthe world (?=most|least|\w+est)", "the ", _OF_ALL.sub("", line))
    for pattern, ask, words in _TURNED:
        found = pattern.match(line)
        if found is not None:
            rest = found.expand(words).strip()
            head, _, last = rest.rpartition(" ")
            return Framed(ask, f"{head} {_FAST.get(last, last)}" if ask == "how" and head else rest)
    for pattern, ask, words in _RULES:
        found = pattern.match(line)
        if found is not None:
            return Framed(ask, _left(ask, words, line, line[found.end() :].strip()))
    return Framed("", _bare(line))


def _left(ask: str, words: str, line: str, rest: str) -> str:
    """The words after a frame, with those that the frame stands for."""
    if words == "=":
        rest = line
    elif words == "how_":
        rest = f"how_{rest}"
    elif words == "price of":
        rest = f"price of {re.sub(' costs?$', '', rest)}"
    elif words:
        rest = f"{words} {rest}"
    if ask == "why":
        return _HAPPENS.sub("", rest)
    return _bare(rest) if ask.startswith("what") else _LEFT.sub("", rest)


def _bare(rest: str) -> str:
    """Words of a thing that is asked for, without "the concept of" before and "definition" after it."""
    rest = re.sub(
        r"^(?:(?:is|are|a|an|the) )*(?:meaning|definition|concept|idea|notion|term|word|phrase)(?: of| behind) ",
        "",
        rest,
    )
    found = _ENDS.fullmatch(rest)
    return _LEFT.sub("", found[1] if found is not None else rest)
