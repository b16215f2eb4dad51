"""People in sentences, from many cultures, and capitalised words that are nobody. Knows nothing of the recognizers."""

import random
from typing import Literal

Half = Literal["seen", "unseen"]
Draw = random.Random

# Written down from memory: not from any list that a recognizer uses.
GIVEN = ["Anna", "Lukas", "Sophie", "Maximilian", "Friederike", "Jürgen", "Wolfgang", "Heike", "Emily", "Oliver", "Charlotte", "Harry", "Olivia", "Noah", "Liam", "Ava", "Ethan", "Mia", "Benjamin", "Hannah", "Samuel", "Abigail", "Jennifer", "Michael", "Jessica", "Christopher", "Ashley", "Matthew", "Sarah", "Joshua", "Amanda", "David", "Stephanie", "Daniel", "Kevin", "Nicole", "Brian", "Megan", "Tyler", "Rachel", "Pierre", "Camille", "Julien", "Élodie", "Thierry", "Margaux", "Antoine", "Léa", "Giulia", "Marco", "Francesca", "Luca", "Chiara", "Matteo", "Alessandro", "Lucía", "Javier", "Carmen", "Pablo", "María", "Diego", "Sofía", "Alejandro", "Valentina", "João", "Beatriz", "Rafael", "Fernanda", "Thiago", "Ingrid", "Lars", "Astrid", "Bjørn", "Sven", "Freja", "Mikkel", "Katarzyna", "Piotr", "Agnieszka", "Tomasz", "Zuzanna", "Jiří", "Ivana", "Petr", "Olga", "Dmitri", "Svetlana", "Sergei", "Natasha", "Yuri", "Aisha", "Omar", "Fatima", "Yusuf", "Layla", "Hassan", "Khadija", "Mohammed", "Ahmed", "Zainab", "Priya", "Arjun", "Ananya", "Rahul", "Deepa", "Vikram", "Lakshmi", "Sanjay", "Kavita", "Wei", "Mei", "Jing", "Hiroshi", "Yuki", "Sakura", "Kenji", "Haruto", "Minjun", "Seoyeon", "Jihoon", "Linh", "Nguyen", "Thuy", "Siti", "Budi", "Putri", "Chidi", "Ngozi", "Emeka", "Amara", "Kwame", "Akosua", "Thabo", "Nomsa", "Zanele", "Tendai", "Ayodele", "Eleni", "Giorgos", "Dimitra", "Noam", "Tamar", "Avi", "Shira", "Mehmet", "Elif", "Emre", "Zeynep"]
FAMILY = ["Müller", "Schmidt", "Becker", "Hoffmann", "Schäfer", "Vogel", "Smith", "Johnson", "Williams", "Brown", "Jones", "Miller", "Davis", "Anderson", "Taylor", "Thomas", "Moore", "Jackson", "Thompson", "Harris", "Clark", "Lewis", "Robinson", "Walker", "Wright", "Mitchell", "Dubois", "Lefèvre", "Moreau", "Fournier", "Girard", "Rossi", "Bianchi", "Ferrari", "Esposito", "García", "Fernández", "Rodríguez", "López", "Martínez", "Hernández", "Silva", "Santos", "Oliveira", "Pereira", "Costa", "Andersson", "Johansson", "Nielsen", "Hansen", "Larsen", "Kowalski", "Nowak", "Wiśniewska", "Novák", "Horváth", "Ivanov", "Petrova", "Kuznetsov", "Khan", "Rahman", "Hussein", "El-Sayed", "Al-Farsi", "Haddad", "Patel", "Sharma", "Singh", "Gupta", "Iyer", "Reddy", "Chatterjee", "Wang", "Li", "Zhang", "Chen", "Liu", "Tanaka", "Suzuki", "Yamamoto", "Watanabe", "Kim", "Park", "Lee", "Choi", "Tran", "Pham", "Suharto", "Wijaya", "Okafor", "Adeyemi", "Mensah", "Dlamini", "Nkosi", "Moyo", "Papadopoulos", "Cohen", "Levy", "Yılmaz", "Demir", "Kaya", "O'Connor", "O'Brien", "MacDonald", "van-der-Berg", "de-Vries", "Jansen", "Fitzgerald", "McCarthy"]

# {f} full name, {g} given name, {l} family name, {m} full with a middle initial, {c} comma form, {x} nobody.
CARRIERS = [
    "My name is {f} and I would like to change my booking.",
    "Hi {g}, thanks for getting back to me so quickly.",
    "Dear Mr. {l}, your application has been received.",
    "Please schedule a meeting with {f} for next {x}.",
    "I spoke to {f} yesterday about the contract with {x}.",
    "Kind regards,\n{f}",
    "The patient, {f}, was admitted on Tuesday with chest pain.",
    "Dr. {l} said the results will be ready soon.",
    "Can you write a birthday message for my colleague {g}?",
    "{f} joined {x} in 2019 as a senior analyst.",
    "According to Prof. {f}, the method works in most cases.",
    "Author: {f}\nTitle: A Study of Rivers",
    "Our landlord, Mrs. {l}, wants to raise the rent.",
    "I'm {g}, nice to meet you!",
    "Minutes taken by {f}; attendees: {f}, {f}.",
    "Sincerely,\n{m}\nHead of {x}",
    "Sehr geehrte Frau {l}, vielen Dank für Ihre Nachricht.",
    "Hallo {g}, kommst du morgen mit?",
    "{g}, could you take a look at this before lunch?",
    "Ask {g} whether the slides are ready.",
    "The contract is between {f} and {x}.",
    "{m} was born in 1984 and lives near {x}.",
    "Forward this to {f} ({x} office).",
    "I had dinner with {g} and {g} at {x}.",
    "Employee: {c}\nDepartment: Sales",
    "Mr. and Mrs. {l} will arrive by train from {x}.",
    "Translate this letter from {f} into English.",
    "My son {g} is in third grade and my daughter {g} in fifth.",
    "Bonjour Madame {l}, votre colis est arrivé.",
    "{f}'s passport expires in March.",
    "Was sagt {f} zu dem Vorschlag?",
    "Signed: {f}, {f}",
    "The manager {f} approved it.",
    "Invoice for {f}, payable within 14 days.",
]
NOBODY = [
    "Please compare {x} with {x} and tell me which is better.",
    "We travelled from {x} to {x} last summer.",
    "Hello World, this is a test of the Markdown parser.",
    "Dear Sir or Madam, I am writing to complain about my order.",
    "Write a Python script that reads a CSV file and prints the total.",
    "What is the capital of {x}?",
    "Summarize the French Revolution in three sentences.",
    "The United Nations met in {x} on Monday.",
    "Hi there, can you help me with Microsoft Excel?",
    "Translate 'Good Morning' into German and Spanish.",
    "How do I install {x} on Linux?",
    "Dear Customer Support, the app crashes on startup.",
    "The New York Times wrote about {x} in March.",
    "In the Monte Carlo method, random numbers are drawn.",
    "Explain the Second World War to a child.",
    "I will be in {x} in April and May.",
    "Kind regards,\nThe Support Team",
    "May I ask what the Mark Down header syntax is?",
    "Will you grant access to the Data Warehouse?",
    "Das Auto steht vor dem Haus in der Langen Straße.",
    "List the planets: Mercury, Venus, Earth, Mars.",
    "Use Big O notation to describe Quick Sort.",
]
THINGS = """Amazon,Berlin,Lake Geneva,Toyota Corolla,Google Cloud,Deutsche Bank,South Africa,Mount Everest,Samsung Galaxy,
San Francisco,Harvard University,Apple,Marketing,Monday,December,Kubernetes,Visual Studio,Tokyo,Coca-Cola,Buenos Aires,
Central Park,the Red Cross,Wall Street,Android,Premier League,Nobel Prize,Star Wars,Pacific Ocean,Human Resources,Paris,
Siemens,Adobe Photoshop,Great Britain,Notre Dame,Real Madrid,Bitcoin,Ubuntu,Vienna,Oxford Street,General Motors""".replace(
    "\n", ""
).split(",")


def text(draw: Draw, half: Half | None) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A text and where people are named in it; titles (Mr., Dr.) are no part of a name."""
    pool = NOBODY if draw.random() < 1 / 3 else CARRIERS
    pool = pool[::2] if half == "seen" else pool[1::2] if half == "unseen" else pool
    carrier, made, spans, at = draw.choice(pool), "", [], 0
    while at < len(carrier):
        mark = carrier[at : at + 3]
        if mark not in ("{f}", "{g}", "{l}", "{m}", "{c}", "{x}"):
            made += carrier[at]
            at += 1
            continue
        word = _fill(mark, draw)
        if mark != "{x}":
            spans.append((len(made), len(made) + len(word)))
        made += word
        at += 3
    return made, tuple(spans)


def _fill(mark: str, draw: Draw) -> str:
    given, family = draw.choice(GIVEN), draw.choice(FAMILY).replace("-der-", " der ").replace("de-", "de ")
    family = family.replace("van der ", "van der ")
    match mark:
        case "{g}":
            return given
        case "{l}":
            return family
        case "{m}":
            return f"{given} {draw.choice('ABCDEFGHJKLMRST')}. {family}"
        case "{c}":
            return f"{family}, {given}"
        case "{x}":
            return draw.choice(THINGS)
    return f"{given} {family}"
